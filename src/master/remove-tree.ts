import type { InodeId } from '../base/ids.ts';
import { type Result, refuse, unwrap } from '../base/result.ts';
import { removable } from '../core/metadata/apply-remove.ts';
import type { Command, CommandContext, CommandResult, Removed } from '../core/metadata/commands.ts';
import { FileType } from '../core/metadata/rows.ts';
import { TreeCheck } from '../core/metadata/tree-check.ts';
import { unreachable } from './file-access.ts';
import { LOOKS_PER_THING } from './long-commands.ts';
import type { MasterParts } from './master-parts.ts';

/** Checks of trees that are on their way: each hears of every command that is applied. */
export class TreeChecks {
  readonly #running = new Set<TreeCheck>();

  /** From now on, until it is disposed. */
  begin(check: TreeCheck): Disposable {
    this.#running.add(check);
    return { [Symbol.dispose]: () => this.#running.delete(check) };
  }

  commandApplied(command: Command, result: Result<CommandResult>): void {
    for (const check of this.#running) check.commandApplied(command, result);
  }
}

/**
 * Takes a name away with all that is below it. Whether the caller may, is looked at beforehand, in steps; and what changed there
 * since, right before the command is applied, when no other one can come in between.
 */
export async function removeTree(
  parts: MasterParts,
  { context, parent, name, signal }: Wanted,
): Promise<Removed> {
  const { env, config, metadata, checks } = parts;
  const lookCount = LOOKS_PER_THING * config.longStepCount;
  const { state } = metadata;
  const reach = () => unreachable(parts.access, context, [parent]);
  for (;;) {
    signal.throwIfAborted();
    const inode = state.tables.dirent(parent, name)?.inode ?? 0;
    const check = checkOf(parts, { context, parent, name });
    using _ = check && checks.begin(check);
    while (check !== undefined && !check.isDone) {
      check.step(lookCount);
      await env.sleep(0, { signal });
    }
    const result = await metadata.execute(
      context,
      'removeTree',
      { parent, name, inode },
      () => reach() ?? check?.refusal,
      check && (() => lastLook(check, lookCount)),
    );
    // The tree changed faster than it was looked at.
    if (!result.ok && result.error.code === 'VERSION_MISMATCH') continue;
    return unwrap(result);
  }
}

interface Wanted {
  readonly context: CommandContext;
  readonly parent: InodeId;
  readonly name: Buffer;
  readonly signal: AbortSignal;
}

/** Undefined: there is nothing to look at, as with root; or the command is refused anyway, or was answered before. */
function checkOf(
  { access, metadata }: MasterParts,
  { context, parent, name }: Omit<Wanted, 'signal'>,
): TreeCheck | undefined {
  const { caller } = context;
  const { state } = metadata;
  if (caller.uid === 0 || unreachable(access, context, [parent]) !== undefined) return undefined;
  const found = removable(state, caller, parent, name);
  if (!found.ok || found.value.inode.type !== FileType.DIRECTORY) return undefined;
  return new TreeCheck(state, caller, found.value.inode.inode);
}

function lastLook(check: TreeCheck, count: number): Result<never> | undefined {
  check.step(count);
  if (check.refusal !== undefined) return check.refusal;
  return check.isDone ? undefined : refuse('VERSION_MISMATCH', 'the tree changes all the time');
}
