export { preadNowait, punchHole } from './file-io.ts';
export { flock } from './flock.ts';
export {
  type DeviceRequest,
  FuseDevice,
  type FuseDeviceOptions,
  type NotificationLane,
} from './fuse-device.ts';
export { MOUNT_FLAGS, mount, receiveDescriptor, socketPair, unmount } from './mount.ts';
export type { SettledFiles } from './settled-files.ts';
