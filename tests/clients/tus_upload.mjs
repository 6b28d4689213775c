// Sends one file with tus-js-client as it comes from the registry. Told by environment variables:
//   ENDPOINT, TOKEN, FILE, SHA256   where, as whom, what
//   OPTIONS                         JSON merged into the client's options
//   CHECKSUM                        an algorithm: every PATCH then carries Upload-Checksum (needs options.chunkSize)
//   STORE                           a file where the client keeps addresses of uploads, to go on after it was ended
// Prints one JSON object: {"url", "requests": {METHOD: n}, "resumed"}; ends with 1 and the server's words otherwise.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as tus from "tus-js-client";

const { ENDPOINT, TOKEN, FILE, SHA256, CHECKSUM, STORE } = process.env;
const given = JSON.parse(process.env.OPTIONS ?? "{}");
const data = readFileSync(FILE);
const requests = {};
let resumed = false;

const options = {
  endpoint: ENDPOINT,
  headers: { Authorization: `Bearer ${TOKEN}` },
  retryDelays: Array(60).fill(100),
  metadata: { filename: "photo.jpg", filetype: "image/jpeg", sha256: SHA256, kind: "photo" },
  onBeforeRequest(request) {
    const method = request.getMethod();
    requests[method] = (requests[method] ?? 0) + 1;
    if (CHECKSUM && method === "PATCH") {
      const from = Number(request.getHeader("Upload-Offset"));
      const digest = createHash(CHECKSUM).update(data.subarray(from, from + given.chunkSize)).digest("base64");
      request.setHeader("Upload-Checksum", `${CHECKSUM} ${digest}`);
    }
  },
  onError(error) {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess() {
    console.log(JSON.stringify({ url: upload.url, requests, resumed }));
  },
  ...given,
};
if (STORE) {
  options.urlStorage = new tus.FileUrlStorage(STORE);
  options.fingerprint = async () => SHA256;
}
const upload = new tus.Upload(data, options);
if (STORE) {
  const known = await upload.findPreviousUploads();
  if (known.length) {
    resumed = true;
    upload.resumeFromPreviousUpload(known[0]);
  }
}
upload.start();
