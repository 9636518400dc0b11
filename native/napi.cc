#include "napi.h"

#include <cstring>

// libuv's, which Node exports: "ENOENT" for -ENOENT. (The C library's own strerrorname_np is glibc's alone.)
extern "C" const char* uv_err_name(int error);

namespace gfs {

void throw_errno(napi_env env, const char* what, int error_number) {
  const char* name = uv_err_name(-error_number);
  const std::string message = std::string(name) + ": " + strerror(error_number) + ", " + what;
  napi_throw_error(env, name, message.c_str());
}

void throw_error(napi_env env, const char* message) { napi_throw_error(env, "ERR_NATIVE", message); }

bool get_int32(napi_env env, napi_value value, int32_t* out) {
  if (napi_get_value_int32(env, value, out) == napi_ok) return true;
  throw_error(env, "native: a number was expected");
  return false;
}

bool get_uint32(napi_env env, napi_value value, uint32_t* out) {
  if (napi_get_value_uint32(env, value, out) == napi_ok) return true;
  throw_error(env, "native: a number was expected");
  return false;
}

bool get_double(napi_env env, napi_value value, double* out) {
  if (napi_get_value_double(env, value, out) == napi_ok) return true;
  throw_error(env, "native: a number was expected");
  return false;
}

bool get_string(napi_env env, napi_value value, std::string* out) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) {
    throw_error(env, "native: a string was expected");
    return false;
  }
  out->resize(length);
  // Writes a terminating zero too: std::string has room for it.
  napi_get_value_string_utf8(env, value, out->data(), length + 1, &length);
  return true;
}

bool get_bytes(napi_env env, napi_value value, uint8_t** data, size_t* length) {
  void* start = nullptr;
  // For a Node Buffer and for any Uint8Array alike.
  if (napi_get_buffer_info(env, value, &start, length) != napi_ok) {
    throw_error(env, "native: bytes were expected");
    return false;
  }
  *data = static_cast<uint8_t*>(start);
  return true;
}

napi_value make_undefined(napi_env env) {
  napi_value value = nullptr;
  napi_get_undefined(env, &value);
  return value;
}

napi_value make_int32(napi_env env, int32_t number) {
  napi_value value = nullptr;
  napi_create_int32(env, number, &value);
  return value;
}

napi_value make_boolean(napi_env env, bool truth) {
  napi_value value = nullptr;
  napi_get_boolean(env, truth, &value);
  return value;
}

void export_function(napi_env env, napi_value exports, const char* name, napi_callback function) {
  napi_value value = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value);
  napi_set_named_property(env, exports, name, value);
}

}  // namespace gfs
