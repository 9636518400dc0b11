// The few Node-API idioms that every topic needs. No policy: arguments were checked in native/index.ts, so a failing
// conversion here is a bug of this package and throws.
#ifndef GFS_NATIVE_NAPI_H
#define GFS_NATIVE_NAPI_H

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace gfs {

// Throws a JavaScript Error whose `code` is the errno's name, as Node's own system errors have it.
void throw_errno(napi_env env, const char* what, int error_number);
void throw_error(napi_env env, const char* message);

bool get_int32(napi_env env, napi_value value, int32_t* out);
bool get_uint32(napi_env env, napi_value value, uint32_t* out);
bool get_double(napi_env env, napi_value value, double* out);
bool get_string(napi_env env, napi_value value, std::string* out);
// The bytes of any Uint8Array; valid until the caller returns to JavaScript.
bool get_bytes(napi_env env, napi_value value, uint8_t** data, size_t* length);

napi_value make_undefined(napi_env env);
napi_value make_int32(napi_env env, int32_t value);
napi_value make_boolean(napi_env env, bool value);

// Takes up to `N` arguments; false after throwing when there are fewer.
template <size_t N>
bool get_arguments(napi_env env, napi_callback_info info, napi_value (&arguments)[N]) {
  size_t count = N;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count < N) {
    throw_error(env, "native: too few arguments");
    return false;
  }
  return true;
}

void export_function(napi_env env, napi_value exports, const char* name, napi_callback function);

// One per topic; native/addon.cc calls them all.
void register_file_io(napi_env env, napi_value exports);
void register_device(napi_env env, napi_value exports);
void register_flock(napi_env env, napi_value exports);
void register_mount(napi_env env, napi_value exports);

}  // namespace gfs

#endif
