#include "waker.h"

namespace gfs {

std::shared_ptr<Waker> Waker::create(napi_env env, const char* name, Task on_wake) {
  std::shared_ptr<Waker> waker(new Waker(std::move(on_wake)));
  waker->env_ = env;
  napi_value resource_name = nullptr;
  napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &resource_name);
  // Node's side holds a reference of its own until it has let go of the function.
  auto* reference = new std::shared_ptr<Waker>(waker);
  const auto on_finalize = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<Waker>*>(data); };
  if (napi_create_threadsafe_function(env, nullptr, nullptr, resource_name, 0, 1, reference, on_finalize, reference,
                                      on_call, &waker->function_) != napi_ok) {
    delete reference;
    return nullptr;
  }
  // Hooks run last added first: ours closes the door before Node frees the function behind it.
  napi_add_env_cleanup_hook(env, on_environment_end, waker.get());
  return waker;
}

void Waker::wake() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (function_ != nullptr) napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
}

void Waker::close() {
  napi_threadsafe_function function = nullptr;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    function = function_;
    function_ = nullptr;
  }
  if (function == nullptr) return;
  napi_remove_env_cleanup_hook(env_, on_environment_end, this);
  napi_release_threadsafe_function(function, napi_tsfn_abort);
}

void Waker::on_call(napi_env env, napi_value, void* context, void*) {
  if (env == nullptr) return;  // the environment is ending
  const std::shared_ptr<Waker> waker = *static_cast<std::shared_ptr<Waker>*>(context);
  waker->on_wake_(env);
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending) {
    napi_value error = nullptr;
    napi_get_and_clear_last_exception(env, &error);
    napi_fatal_exception(env, error);
  }
}

void Waker::on_environment_end(void* self) {
  auto* waker = static_cast<Waker*>(self);
  std::lock_guard<std::mutex> lock(waker->mutex_);
  waker->function_ = nullptr;
}

}  // namespace gfs
