/* SPDX-License-Identifier: MIT */
/* C++17: a class that owns a layer and its scratch, in a few lines. */
#include <convpool.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

class Layer {
  public:
    Layer(const convpool_layer_spec &spec, const float *weights, const float *bias) {
        convpool_layer *made = nullptr;
        check(convpool_layer_create(&spec, weights, bias, &made));
        layer.reset(made);
        scratch.resize(convpool_layer_scratch_size(made));
        size_t channels, height, width;
        convpool_layer_output_shape(made, &channels, &height, &width);
        output.resize(channels * height * width);
    }
    /* The output stays valid until the next call. */
    const std::vector<float> &operator()(const std::vector<float> &input) {
        check(convpool_layer_run(layer.get(), input.data(), output.data(), scratch.data()));
        return output;
    }
    const char *kernel() const { return convpool_layer_kernel(layer.get()); }

  private:
    static void check(convpool_status status) {
        if (status != CONVPOOL_OK) throw std::runtime_error(convpool_status_string(status));
    }
    struct destroy {
        void operator()(convpool_layer *l) const { convpool_layer_destroy(l); }
    };
    std::unique_ptr<convpool_layer, destroy> layer;
    std::vector<unsigned char> scratch; /* a thread that shares the layer would have its own */
    std::vector<float> output;
};

int main() try {
    convpool_layer_spec spec = {};
    spec.in_channels = 3, spec.in_height = spec.in_width = 65, spec.out_channels = 8;
    std::vector<float> weights(8 * 3 * 2 * 2, 0.25f), bias(8, -1.0f), image(3 * 65 * 65, 1.0f);
    Layer layer(spec, weights.data(), bias.data());
    const std::vector<float> &output = layer(image);
    std::printf("%s: %zu outputs, the first is %g\n", layer.kernel(), output.size(), double(output[0]));

    try {
        spec.in_width = 2; /* nothing is left of it after pooling */
        Layer refused(spec, weights.data(), bias.data());
        return 1;
    } catch (const std::runtime_error &error) {
        std::printf("a 65x2 image: %s\n", error.what());
    }
    return output[0] == 2.0f ? 0 : 1; /* 12 times 1 times 0.25, less 1 */
} catch (const std::exception &error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
}
