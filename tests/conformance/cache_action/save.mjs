import { input, inputLines, isSameKey, isSet, state } from "./inputs.mjs";

const client = await import(process.env.CACHE_CLIENT);
const key = state("CACHE_KEY") || input("key");

if (isSameKey(state("CACHE_RESULT"), key)) {
  console.log(`Cache hit occurred on the primary key ${key}, not saving cache.`);
} else {
  try {
    const id = await client.saveCache(inputLines("path"), key, undefined, isSet("enableCrossOsArchive"));
    if (id !== -1) console.log(`Cache saved with key: ${key}`);
  } catch (error) {
    // A job does not fail because nothing could be saved.
    console.log(`[warning]${error.message}`);
  }
}
process.exit();
