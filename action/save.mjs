import { entry, hasToken, runcache } from "./cli.mjs";
import { input, isSameKey, state, warn } from "./job.mjs";

// After a restore in the same step its key counts: what the input's expressions read may have changed since.
const key = state("CACHE_KEY") || input("key");
const restoredKey = state("CACHE_RESULT");

async function save() {
  if (!key) return warn("Input required and not supplied: key");
  if (restoredKey && isSameKey(restoredKey, key)) {
    return console.log(`Cache hit occurred on the primary key ${key}, not saving cache.`);
  }
  if (!hasToken()) return;
  if (input("upload-chunk-size")) console.log("The input upload-chunk-size has no effect.");
  const { code, answer } = await runcache("save", ...entry(key));
  if (code !== 0) return warn(`runcache save ended with exit code ${code}; the log says why`);
  if (answer.created) console.log(`Cache saved with key: ${key}`);
}

// A job does not fail because nothing could be saved.
await save().catch((error) => warn(error.message));
