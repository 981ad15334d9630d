// What the runner passes to a step, and what a step passes back (protocol §9.1 and §9.2).

import { appendFileSync } from "node:fs";

export const input = (name) => (process.env[`INPUT_${name.toUpperCase()}`] ?? "").trim();
export const inputLines = (name) => input(name).split("\n").map((line) => line.trim()).filter(Boolean);
export const isSet = (name) => input(name).toLowerCase() === "true";

export const state = (name) => process.env[`STATE_${name}`] ?? "";
export const setState = (name, value) => appendFileSync(process.env.GITHUB_STATE, `${name}=${value}\n`);
export const setOutput = (name, value) => appendFileSync(process.env.GITHUB_OUTPUT, `${name}=${value}\n`);

// Upper and lower case make no difference to the action, although they do to the server.
export const isSameKey = (one, other) => one.localeCompare(other, undefined, { sensitivity: "accent" }) === 0;
