const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

interface FirstSignal extends Disposable {
  readonly signal: Promise<NodeJS.Signals>;
}

/** Until it is disposed, signals do not end the process. */
export function firstSignal(): FirstSignal {
  let onSignal: (signal: NodeJS.Signals) => void = () => undefined;
  const signal = new Promise<NodeJS.Signals>((resolve) => {
    onSignal = resolve;
  });
  for (const name of SIGNALS) process.on(name, onSignal);
  return {
    signal,
    [Symbol.dispose]: () => {
      for (const name of SIGNALS) process.off(name, onSignal);
    },
  };
}
