/** Who speaks to the kernel: this program by itself, or libfuse by way of the package "fuse-native". */
export const DRIVERS = ['kernel', 'fuse-native'] as const;
export type Driver = (typeof DRIVERS)[number];
