#!/bin/bash
# Appends numbered lines to a log as shell scripts do, which open it anew for each; notes in the manifest what it was told, as
# writer.ts does. Usage: shell-writer.sh LOG MANIFEST NAME
n=0
while :; do
  n=$((n + 1))
  printf -v dots '%*s' $((n * 37 % 200)) ''
  if echo "$3 $n ${dots// /.}|" >> "$1"; then
    echo "append $n" >> "$2"
  else
    echo "unknown $n" >> "$2"
    sleep 0.2
  fi
done 2> /dev/null
