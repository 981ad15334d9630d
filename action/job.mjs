// What the runner hands to a step of an action, and what the step hands back.

import { randomUUID } from "node:crypto";
import { appendFileSync } from "node:fs";

export const input = (name) => (process.env[`INPUT_${name.replaceAll(" ", "_").toUpperCase()}`] ?? "").trim();
export const isTrue = (name) => input(name).toLowerCase() === "true";

// A blank between `!` and the pattern that it excludes does not count.
export const lines = (name) =>
  input(name)
    .split("\n")
    .map((line) => line.replace(/^!\s+/, "!").trim())
    .filter((line) => line !== "");

export const state = (name) => process.env[`STATE_${name}`] ?? "";

// The value may have any number of lines; nobody can guess the line that ends it.
export function saveState(name, value) {
  const end = `ghadelimiter_${randomUUID()}`;
  appendFileSync(process.env.GITHUB_STATE, `${name}<<${end}\n${value}\n${end}\n`);
}

const escaped = (text) => text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");

// Annotations of the run: the runner shows them on its page as well as in the log.
export const warn = (message) => console.log(`::warning::${escaped(message)}`);

export function fail(message) {
  console.log(`::error::${escaped(message)}`);
  process.exitCode = 1;
}

// Upper and lower case make no difference to the action, although they do to the cache.
export const isSameKey = (one, other) => one.localeCompare(other, undefined, { sensitivity: "accent" }) === 0;
