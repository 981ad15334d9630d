// Makes one call of GitHub's own cache client and ends: an action reads its environment once, so one process a call.
//
//   echo '{"paths": ["deps"], "key": "k"}' | node cache.mjs v6 save
//
// The last line that it prints is `RESULT ` and an object with `result` (the id of the saved entry, the matched key or
// null) and `error` (null, or name and message of what was thrown). All other lines are the client's own.

import { readFileSync, writeSync } from "node:fs";

const [generation, verb] = process.argv.slice(2);
const { paths, key, restoreKeys, options } = JSON.parse(readFileSync(0, "utf8"));

const outcome = { result: null, error: null };
try {
  const client = await import(`cache-${generation}`);
  outcome.result =
    verb === "save"
      ? await client.saveCache(paths, key, options)
      : ((await client.restoreCache(paths, key, restoreKeys, options)) ?? null);
} catch (thrown) {
  outcome.error = { name: thrown.name, message: thrown.message };
}
writeSync(1, `\nRESULT ${JSON.stringify(outcome)}\n`);
// Connections that are kept alive would keep the process alive, too.
process.exit();
