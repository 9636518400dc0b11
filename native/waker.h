// A door from any thread to the JavaScript thread, which closes by itself when the environment ends.
#ifndef GFS_NATIVE_WAKER_H
#define GFS_NATIVE_WAKER_H

#include <node_api.h>

#include <functional>
#include <memory>
#include <mutex>

namespace gfs {

class Waker {
 public:
  using Task = std::function<void(napi_env)>;

  // On the JavaScript thread. Keeps the event loop alive until close(). `on_wake` runs on the JavaScript thread, at
  // least once after each wake(); an exception that it leaves pending is reported as uncaught.
  static std::shared_ptr<Waker> create(napi_env env, const char* name, Task on_wake);

  // From any thread, also when the environment is gone: then it does nothing. Threads that sit in a system call outlive
  // the environment when the process exits, and must not touch what was freed.
  void wake();

  // On the JavaScript thread; safe to call twice, and from on_wake.
  void close();

 private:
  explicit Waker(Task on_wake) : on_wake_(std::move(on_wake)) {}
  static void on_call(napi_env env, napi_value callback, void* context, void* data);
  static void on_environment_end(void* self);

  std::mutex mutex_;
  // Guarded by mutex_; null once closed.
  napi_threadsafe_function function_ = nullptr;
  napi_env env_ = nullptr;
  Task on_wake_;
};

}  // namespace gfs

#endif
