import { mkdirSync, writeFileSync } from "node:fs";
import { greeting } from "./greeting.js";

mkdirSync("dist", { recursive: true });
writeFileSync("dist/greeting.txt", `${greeting("world")}\n`);
