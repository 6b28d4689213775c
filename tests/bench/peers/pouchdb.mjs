// express-pouchdb as its README mounts it, databases in memory; one process on HOST and PORT.
import express from "express";
import expressPouchDB from "express-pouchdb";
import memory from "pouchdb-adapter-memory";
import PouchDB from "pouchdb-core";
import mapreduce from "pouchdb-mapreduce";
import replication from "pouchdb-replication";

const InMemory = PouchDB.plugin(memory).plugin(mapreduce).plugin(replication).defaults({ adapter: "memory" });
const app = express();
app.use("/", expressPouchDB(InMemory, { mode: "minimumForPouchDB", inMemoryConfig: true }));
app.listen(Number(process.env.PORT), process.env.HOST);
