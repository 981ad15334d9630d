// Runs the command `runcache`, which does all of the work.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

import { input, isTrue, lines, warn } from "./job.mjs";

export const MISS = 3;

// An expression in a key or a path was evaluated by the runner; what still looks like one is meant literally.
const literal = (text) => text.replaceAll("${{", "${{ '${{' }}");
const option = (name, text) => `--${name}=${literal(text)}`;

// What every command needs to know. Values are joined to their options, so that none can pass for an option itself.
export const entry = (key, ...restoreKeys) => [
  option("key", key),
  ...restoreKeys.map((prefix) => option("restore-key", prefix)),
  ...lines("path").map((path) => option("path", path)),
  ...(isTrue("enableCrossOsArchive") ? ["--cross-os"] : []),
];

// Whether a server that is named has a token to go with it. Runners withhold secrets from pull requests of forks,
// whose jobs shall go on without a cache.
export function hasToken() {
  const { RUNCACHE_URL, RUNCACHE_TOKEN, RUNCACHE_TOKEN_FILE } = process.env;
  const url = input("url") || RUNCACHE_URL;
  if (!url || RUNCACHE_TOKEN || RUNCACHE_TOKEN_FILE) return true;
  warn(`The cache is not used: ${url} needs a token, and RUNCACHE_TOKEN is empty`);
  return false;
}

// Returns the exit code of a command, and the object that it printed if it ended well. Its talk goes to the log.
export async function runcache(command, ...options) {
  const program = isOnPath("runcache") ? "runcache" : input("runcache") || "runcache";
  // A token stays in the environment, where it came from: command lines can be read by everybody on the machine.
  const url = input("url");
  const environment = url ? { ...process.env, RUNCACHE_URL: url } : process.env;
  const child = spawn(program, [command, "--json", ...options], {
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  const printed = [];
  child.stdout.setEncoding("utf8").on("data", (text) => printed.push(text));
  const code = await new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new Error(notStarted(program, error))));
    child.on("close", resolve);
  });
  return { code, answer: code === 0 ? JSON.parse(printed.join("")) : null };
}

const isOnPath = (name) =>
  (process.env.PATH ?? "").split(delimiter).some((folder) => folder && existsSync(join(folder, name)));

const notStarted = (program, error) =>
  error.code === "ENOENT"
    ? `there is no program ${program}: install runcache in an earlier step, or name it with the input runcache`
    : `${program} cannot be started: ${error.message}`;
