import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Finished, ROOT, run } from './cluster.ts';

const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');
/** A program's own: as strict as they come, and nothing of ours. */
const TSCONFIG = {
  compilerOptions: {
    ...{ target: 'ES2022', lib: ['ES2022', 'ESNext.Disposable'], module: 'NodeNext', types: ['node'] },
    ...{ strict: true, noEmitOnError: true },
  },
};

/** Compiles a program in a directory, where it can import packages by these names, and runs it. */
export async function runTypescript(
  directory: string,
  text: string,
  packages: Readonly<Record<string, string>>,
  ...argv: string[]
): Promise<Finished> {
  const types = { '@types/node': join(ROOT, 'node_modules/@types/node') };
  for (const [name, target] of Object.entries({ ...types, ...packages })) {
    const path = join(directory, 'node_modules', name);
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(target, path);
  }
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ type: 'module' }));
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify(TSCONFIG));
  writeFileSync(join(directory, 'program.ts'), text);
  const compiled = await run(process.execPath, [TSC, '-p', directory]);
  if (compiled.code !== 0) throw new Error(compiled.stdout);
  return await run(process.execPath, [join(directory, 'program.js'), ...argv]);
}
