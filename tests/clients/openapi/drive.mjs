// openapi-client-axios as its users use it: a client made from the served document, operations called by their names.
import axios from "axios";
import clients from "openapi-client-axios";

const OpenAPIClientAxios = clients.default ?? clients;
const { URL: origin, KEY, CUSTOMER, SITE } = process.env;
const definition = (await axios.get(`${origin}/v1/openapi.json`)).data;
const api = new OpenAPIClientAxios({
  definition,
  axiosConfigDefaults: {
    baseURL: origin,
    headers: { "X-Api-Key": KEY, "Accept-Language": "zh" },
    validateStatus: () => true,
  },
});
const client = await api.init();

const order = {
  description: "The pump leaks at the seal",
  kind: "general",
  customerId: CUSTOMER,
  siteId: SITE,
  contactName: "Ann",
  contactPhone: "+14155552671",
  references: [{ system: "crm", reference: "C/1" }],
};
const made = await client.createOrder(null, order);
const again = await client.createOrder(null, order);
const wrong = await client.createOrder(null, { ...order, contactPhone: "12", references: [] });
const read = await client.getOrder({ order_id: made.data.id });
const listed = await client.listOrders({ first: 1, state: ["new"] });
await client.addNote({ order_id: made.data.id }, { text: "Gate code 12" });
const life = await client.getTimeline({ order_id: made.data.id, first: 100 });
const sheet = "description,reference,type\nThe pump is very loud,7,general\n";
const run = await client.createImport({ dryRun: true }, sheet, { headers: { "Content-Type": "text/csv" } });
const exported = await client.exportOrders({ format: "csv" });

console.log(
  JSON.stringify({
    operations: api.getOperations().map((one) => one.operationId),
    made: [made.status, made.data],
    again: [again.status, again.data.id],
    wrong: [wrong.status, wrong.data.code, wrong.data.path, wrong.data.detail],
    read: [read.status, read.data.number],
    listed: listed.data.items.map((one) => one.id),
    kinds: life.data.items.map((one) => one.kind),
    run: [run.status, run.data.rowsTotal],
    exported: exported.data.split("\r\n").length,
  }),
);
