/**
 * What the daemons' Node.js is started with (their `#!` lines say the same).
 *
 * Received data counts as part of V8's old generation once it outlives two scavenges, and V8 begins with a small limit for
 * that: beside a heap of 11 MB it collected everything some 90 times a GiB that passed through a chunkserver, for nearly
 * half of its user time. The limit only says when it first looks; it grows and shrinks with the heap from there.
 */
export const NODE_FLAGS: readonly string[] = ['--initial-old-space-size=128'];
