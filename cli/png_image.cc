#include "cli/png_image.h"

#include <png.h>
#include <spdlog/fmt/fmt.h>

namespace ratchet::cli {
namespace {

// libpng's simplified reader, freed however its scope is left.
struct PngReader {
  png_image image{};
  PngReader() { image.version = PNG_IMAGE_VERSION; }
  ~PngReader() { png_image_free(&image); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
};

std::unexpected<Error> Refuse(std::string cause, std::string hint) {
  return Fail(ErrorCode::kInvalid, "read the PNG image", "", std::move(cause), std::move(hint));
}

}  // namespace

bool IsPng(std::string_view bytes) { return bytes.starts_with("\x89PNG\r\n\x1a\n"); }

Result<std::string> DecodePng(std::string_view bytes, std::int64_t channels, std::int64_t height, std::int64_t width) {
  PngReader reader;
  png_image& image = reader.image;
  if (!png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()))
    return Refuse(image.message, "Check that the file is whole");
  if (image.width != width || image.height != height)
    return Refuse(fmt::format("it is {} x {} pixels, the model takes {} x {} (width x height)", image.width,
                              image.height, width, height),
                  fmt::format("Scale it first, as in: convert in.png -resize {}x{}! out.png", width, height));
  image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  std::string interleaved(PNG_IMAGE_SIZE(image), '\0');
  png_color black{};
  if (!png_image_finish_read(&image, &black, interleaved.data(), 0, nullptr))
    return Refuse(image.message, "Check that the file is whole");
  if (channels == 1) return interleaved;
  size_t pixels = static_cast<size_t>(width * height);
  std::string planes(interleaved.size(), '\0');
  for (size_t pixel = 0; pixel < pixels; ++pixel)
    for (size_t channel = 0; channel < 3; ++channel)
      planes[channel * pixels + pixel] = interleaved[pixel * 3 + channel];
  return planes;
}

}  // namespace ratchet::cli
