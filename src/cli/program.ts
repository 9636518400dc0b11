import { readFileSync, writeSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { GfsError, messageOf } from '../base/errors.ts';
import { parseSize, parseSpan } from '../base/units.ts';
import { VERSION } from './version.ts';

/** The program was called in a way that it can't be: one line says which key, exit 2. */
export const EXIT_USAGE = 2;
export const EXIT_FAILURE = 1;
const STANDARD_OUTPUT = 1;
const CHECK_CONFIG = '--check-config';

/** How a key's text becomes its value. Throws to refuse it. */
export type Parse<T> = (text: string) => T;

export interface KeyOptions<T> {
  readonly parse?: Parse<T>;
  readonly default?: T;
  /** How `--help` shows the default, when the value itself reads badly. */
  readonly defaultText?: string;
  readonly required?: boolean;
  /** Name in the environment; made of the flag's name when absent. */
  readonly env?: string;
}

/** Keys without which a program cannot run; checked when all sources were read, the file included. */
const REQUIRED = new WeakSet<Option>();

/** What a program says of its keys together, before it begins anything: throws to refuse them. */
const CHECKS = new WeakMap<Command, (keys: never) => void>();

/** A program whose every flag is a key of `--config FILE` (YAML) and of the environment (`GFS_...`) too. */
export function createProgram(name: string, description: string): Command {
  const program = new Command(name).description(description);
  program.version(VERSION, '--version', 'print the version and end');
  program.helpOption('--help', 'show this help and end');
  program.configureHelp({ helpWidth: 80, sortOptions: false, subcommandTerm: (command) => command.name() });
  program.configureOutput({ writeOut: printText, writeErr: () => undefined, outputError: () => undefined });
  program.exitOverride();
  return program;
}

/** A reader that goes away (`gfs --help | head -1`) is no error. */
function printText(text: string): void {
  try {
    writeSync(STANDARD_OUTPUT, text);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  }
}

/** Adds a flag that is also a key of the configuration file and of the environment. */
export function addKey<T = string>(
  command: Command,
  flags: string,
  description: string,
  options: KeyOptions<T> = {},
): void {
  const option = new Option(flags, options.required ? `${description} (required)` : description);
  option.env(options.env ?? `GFS_${option.name().replace(/-/g, '_').toUpperCase()}`);
  if (options.default !== undefined) option.default(options.default, options.defaultText);
  if (options.required) REQUIRED.add(option);
  if (options.parse) option.argParser(checked(options.parse));
  command.addOption(option);
}

/** For commander: what `parse` refuses is a wrong call. */
export function checked<T>(parse: Parse<T>): Parse<T> {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(messageOf(error));
    }
  };
}

/** `--config FILE`; call it last, so that it reads the file after all keys are known. */
export function addConfigFile(command: Command): void {
  command.addOption(
    new Option('--config <file>', 'read keys from a YAML file; flags and environment go first').env(
      'GFS_CONFIG',
    ),
  );
}

/** `--check-config`, for programs that a service manager starts; `check` looks at keys that have to fit one another. */
export function addConfigCheck<Keys>(command: Command, check: (keys: Keys) => void = () => undefined): void {
  command.option(CHECK_CONFIG, 'check all keys, say whether they can be used, and end');
  CHECKS.set(command, check);
}

/**
 * Parses arguments, environment and configuration file (in this order of weight), then runs the command's action.
 * Ends the process with 2 for a wrong call and with 1 for a failure, each with one line on standard error.
 */
export async function runProgram(
  program: Command,
  argv: readonly string[] = process.argv.slice(2),
): Promise<void> {
  program.hook('preAction', async (_, command) => {
    await applyConfigFile(command);
    checkRequired(command);
    CHECKS.get(command)?.(command.opts() as never);
    if (command.opts().checkConfig === true) {
      printText(`${fullName(command)}: the configuration is good\n`);
      throw new CommanderError(0, 'gfs.checkConfig', '');
    }
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return;
      fail(program.name(), oneLine(error.message.replace(/^error: /, '')), EXIT_USAGE);
    }
    if (error instanceof UsageError) fail(program.name(), oneLine(error.message), EXIT_USAGE);
    if (error instanceof GfsError) fail(program.name(), oneLine(error.message), EXIT_FAILURE);
    throw error;
  }
}

/** A wrong call that only the program itself can see. */
export class UsageError extends Error {}

function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}

function fail(name: string, message: string, exitCode: number): never {
  process.stderr.write(`${name}: ${message}\n`);
  process.exit(exitCode);
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, ' ');
}

async function applyConfigFile(command: Command): Promise<void> {
  const file = command.opts().config as string | undefined;
  if (file === undefined) return;
  for (const [key, value] of Object.entries(await readConfigFile(file))) {
    const option = command.options.find((known) => known.name() === key || known.attributeName() === key);
    if (option === undefined || option.name() === 'config' || option.long === CHECK_CONFIG) {
      throw new UsageError(`unknown key "${key}" in ${file}`);
    }
    const source = command.getOptionValueSource(option.attributeName());
    if (source === 'cli' || source === 'env') continue;
    command.setOptionValueWithSource(option.attributeName(), parseValue(option, value, file), 'config');
  }
}

function checkRequired(command: Command): void {
  for (const option of command.options) {
    if (REQUIRED.has(option) && command.getOptionValue(option.attributeName()) === undefined) {
      throw new UsageError(`--${option.name()} is missing`);
    }
  }
}

async function readConfigFile(file: string): Promise<Record<string, unknown>> {
  // Few have such a file, and all would wait for the package at each start.
  const { parse: parseYaml } = await import('yaml');
  let content: unknown;
  try {
    content = parseYaml(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`config: cannot read ${file}: ${messageOf(error)}`);
  }
  if (content === null) return {};
  if (typeof content !== 'object' || Array.isArray(content)) {
    throw new UsageError(`config: ${file} is not a list of "key: value" lines`);
  }
  return content as Record<string, unknown>;
}

function parseValue(option: Option, value: unknown, file: string): unknown {
  if (option.isBoolean()) {
    if (typeof value !== 'boolean')
      throw new UsageError(`key "${option.name()}" in ${file} is not true or false`);
    return value;
  }
  const text = Array.isArray(value) ? value.join(',') : String(value);
  try {
    return option.parseArg ? option.parseArg(text, undefined as never) : text;
  } catch (error) {
    throw new UsageError(`key "${option.name()}" in ${file}: ${messageOf(error)}`);
  }
}

// --- values ---

/** "host:port"; an IPv6 host stands in brackets. */
export const parseAddress: Parse<string> = (text) => {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:\s]+):(\d{1,5})$/.exec(text);
  if (match === null || Number(match[2]) > 65535) {
    throw new GfsError('INVALID_ARGUMENT', `"${text}" is not HOST:PORT`);
  }
  return text;
};

export const parseAddresses: Parse<string[]> = (text) =>
  text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => parseAddress(part.trim()));

export function parseCount(limits: { min: number; max: number }): Parse<number> {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < limits.min || value > limits.max) {
      throw new GfsError('INVALID_ARGUMENT', `"${text}" is not a number from ${limits.min} to ${limits.max}`);
    }
    return value;
  };
}

export function parseChoice<T extends string>(choices: readonly T[]): Parse<T> {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found === undefined)
      throw new GfsError('INVALID_ARGUMENT', `"${text}" is none of ${choices.join(', ')}`);
    return found;
  };
}

export { parseSize, parseSpan };
