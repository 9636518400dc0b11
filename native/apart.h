// Calls that may wait for long, on a thread of their own.
#ifndef GFS_NATIVE_APART_H
#define GFS_NATIVE_APART_H

#include <node_api.h>

#include <functional>

namespace gfs {

// A promise settled with the outcome of `work` (0 or an errno), which runs on its own thread.
napi_value run_apart(napi_env env, const char* name, std::function<int()> work);

}  // namespace gfs

#endif
