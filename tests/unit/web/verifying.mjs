// Reads [{account, items, anchors}, …] from standard input and prints what the verifier named in argv says of each.
import { readFileSync } from "node:fs";

const source = readFileSync(process.argv[2], "utf-8");
const { verify } = await import(`data:text/javascript,${encodeURIComponent(source)}`); // a module, whatever its suffix
const verdicts = [];
for (const { account, items, anchors } of JSON.parse(readFileSync(0, "utf-8")))
  verdicts.push(await verify(account, items, anchors));
console.log(JSON.stringify(verdicts));
