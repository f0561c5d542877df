#include "hlo2dae-plugin/cc/tensorflow.h"

#include <optional>
#include <string>
#include <string_view>

namespace hlo2dae {
namespace {

// XLA's custom-call status. XLA has a C function that sets it, but TensorFlow does not export it.
// A message that is present means failure.
struct CustomCallStatus {
  std::optional<std::string> message;
};

std::string to_string(rust::Str text) { return std::string(text.data(), text.size()); }

}  // namespace

void register_untyped(std::size_t global, std::size_t register_target, rust::Str name,
                      std::size_t target, rust::Str platform) {
  // A member function takes its object as the first argument on every ABI that TensorFlow is built for.
  using Global = void* (*)();
  using Register = void (*)(void* registry, const std::string& name, void* target,
                            const std::string& platform);
  void* registry = reinterpret_cast<Global>(global)();
  reinterpret_cast<Register>(register_target)(registry, to_string(name),
                                              reinterpret_cast<void*>(target),
                                              to_string(platform));
}

void set_failure(std::size_t status, rust::Str message) {
  reinterpret_cast<CustomCallStatus*>(status)->message = to_string(message);
}

bool check_status_layout(std::size_t get_message) {
  using GetMessage = std::optional<std::string_view> (*)(const CustomCallStatus* status);
  const auto read = reinterpret_cast<GetMessage>(get_message);
  CustomCallStatus success;
  CustomCallStatus failure;
  // Longer than a string's inline storage, so that the heap pointer is tried too.
  const std::string message = "a message that does not fit into the string object itself";
  failure.message = message;
  return read(&success) == std::nullopt && read(&failure) == std::string_view(message);
}

}  // namespace hlo2dae
