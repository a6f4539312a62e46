// Calls functions of the page's modules: reads [[module, function, arguments], …] and prints what each gives or throws.
// `check` gets an API that is made of its first argument, the pages. The modules are copied beside a package.json, so that any Node takes them for modules.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// An API that has nothing but a journal, three pages at a time.
function apiOf(pages) {
  return {
    async *items(_, { after }) {
      const left = pages.filter(({ version }) => version > after);
      for (let start = 0; start < left.length; start += 3) yield left.slice(start, start + 3);
    },
  };
}

const folder = mkdtempSync(join(tmpdir(), "page-"));
try {
  cpSync(process.argv[2], folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{"type": "module"}');
  const told = [];
  for (const [module, name, values] of JSON.parse(readFileSync(0, "utf-8"))) {
    const functions = await import(pathToFileURL(join(folder, module)));
    try {
      const given = name === "check" ? [apiOf(values[0]), ...values.slice(1)] : values;
      told.push({ value: (await functions[name](...given)) ?? null });
    } catch (error) {
      told.push({ error: error.name });
    }
  }
  console.log(JSON.stringify(told));
} finally {
  rmSync(folder, { recursive: true });
}
