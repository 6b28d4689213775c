// node demo.mjs http://127.0.0.1:8000 TOKEN: pulls this phone's work, and notes something on its first visit.
import watermelon from "@nozbe/watermelondb";
import loki from "@nozbe/watermelondb/adapters/lokijs/index.js";
import migrating from "@nozbe/watermelondb/Schema/migrations/index.js";
import { append, edit, modelsOf, schemaOf, synchronizeAll } from "./callout.mjs";

const [url, token] = process.argv.slice(2);
if (!token) throw new Error("usage: node demo.mjs URL TOKEN");
const schema = schemaOf();
const adapter = new loki.default({
  schema,
  // synchronize() needs to know them to have new tables and columns filled, even while there are none.
  migrations: migrating.schemaMigrations({ migrations: [] }),
  useWebWorker: false,
  useIncrementalIndexedDB: false,
});
const database = new watermelon.Database({ adapter, modelClasses: modelsOf(schema) });
const told = (answers) => answers.forEach((a) => console.log(`${a.status} ${a.code ?? ""}`));
await synchronizeAll(database, { url, token: () => token, onAnswers: told });

const visits = await database.get("visit").query().fetch();
for (const { _raw: visit } of visits) console.log(`visit ${visit.number} of order ${visit.order_id}: ${visit.state}`);
if (visits.length > 0) {
  await edit(visits[0], { engineer_note: "Ladder needed" });
  await append(database, {
    kind: "visit.note",
    visitId: visits[0].id,
    sequence: 1,
    payload: { text: "The cellar door sticks" },
  });
  await synchronizeAll(database, { url, token: () => token, onAnswers: told });
}
process.exit(0);
