#include "apart.h"

#include <memory>
#include <thread>
#include <utility>

#include "napi.h"
#include "waker.h"

namespace gfs {

napi_value run_apart(napi_env env, const char* name, std::function<int()> work) {
  struct Call {
    napi_deferred deferred = nullptr;
    std::shared_ptr<Waker> waker;
    int error = 0;
  };
  auto call = std::make_shared<Call>();
  napi_value promise = nullptr;
  napi_create_promise(env, &call->deferred, &promise);
  // The waker holds the call and the call the waker: closing cuts the knot.
  call->waker = Waker::create(env, name, [call, name](napi_env env) {
    if (call->waker == nullptr) return;
    call->waker->close();
    call->waker = nullptr;
    if (call->error == 0) {
      napi_resolve_deferred(env, call->deferred, make_undefined(env));
      return;
    }
    throw_errno(env, name, call->error);
    napi_value error = nullptr;
    napi_get_and_clear_last_exception(env, &error);
    napi_reject_deferred(env, call->deferred, error);
  });
  const std::shared_ptr<Waker> waker = call->waker;
  std::thread([call, waker, work = std::move(work)] {
    call->error = work();
    waker->wake();
  }).detach();
  return promise;
}

}  // namespace gfs
