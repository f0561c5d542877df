// Calls of TensorFlow's C++ functions whose arguments are objects of the C++ standard library.
#pragma once

#include <cstddef>

#include "rust/cxx.h"

namespace hlo2dae {

void register_untyped(std::size_t global, std::size_t register_target, rust::Str name,
                      std::size_t target, rust::Str platform);

void set_failure(std::size_t status, rust::Str message);

bool check_status_layout(std::size_t get_message);

}  // namespace hlo2dae
