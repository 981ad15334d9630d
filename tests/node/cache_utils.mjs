// Calls what GitHub's cache client does before it asks a server: one line of JSON in, one line out, for each call.
//
// in:  function "getCacheVersion" with platform and arguments, or "resolvePaths" with folder (where to work), home,
//      workspace and arguments
// out: result; or error (name, code and message of what was thrown)

import { readFileSync } from "node:fs";
import * as utils from "./node_modules/cache-v6/lib/internal/cacheUtils.js";

// What the client logs goes nowhere.
const print = process.stdout.write.bind(process.stdout);
process.stdout.write = () => true;

for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const call = JSON.parse(line);
  let answer;
  try {
    if (call.platform !== undefined) {
      Object.defineProperty(process, "platform", { value: call.platform });
    } else {
      process.chdir(call.folder);
      process.env.HOME = call.home;
      process.env.GITHUB_WORKSPACE = call.workspace;
    }
    answer = { result: await utils[call.function](...call.arguments) };
  } catch (thrown) {
    answer = { error: { name: thrown.name, code: thrown.code ?? null, message: thrown.message } };
  }
  print(`${JSON.stringify(answer)}\n`);
}
