/* SPDX-License-Identifier: MIT */
/* The version, and what a status says. */
#include "dispatch.h"

#define STRING(x) #x
#define VERSION(major, minor, patch) STRING(major) "." STRING(minor) "." STRING(patch)

const char *convpool_version(void) {
    return VERSION(CONVPOOL_VERSION_MAJOR, CONVPOOL_VERSION_MINOR, CONVPOOL_VERSION_PATCH);
}

const char *convpool_status_string(convpool_status status) {
    switch (status) {
    case CONVPOOL_OK: return "success";
    case CONVPOOL_INVALID_ARGUMENT:
        return "invalid argument: a NULL pointer, a value outside its enum, PReLU without slopes, rows beyond the "
               "output, or overlapping tensors";
    case CONVPOOL_INVALID_SHAPE:
        return "invalid shape: a zero extent, a filter or window larger than the padded image or in padding alone, an "
               "empty output, softmax of an image, extents that do not follow from the stage before, or a size that "
               "overflows";
    case CONVPOOL_OUT_OF_MEMORY: return "out of memory: allocation failed, or too little memory was given";
    case CONVPOOL_KERNEL_UNKNOWN: return "no kernel of that name is built into this library";
    case CONVPOOL_KERNEL_UNSUPPORTED:
        return "this CPU or operating system cannot run that kernel, or any in this build, or it cannot compute this "
               "layer";
    }
    return "unknown status";
}
