// Makes the types of the API from its description: node generate.mjs DESCRIPTION OUTPUT
import { readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const BLOB = ts.factory.createTypeReferenceNode("Blob");
const [description, output] = process.argv.slice(2);
const types = await openapiTS(JSON.parse(readFileSync(description, "utf-8")), {
  // The parts of a form that are files.
  transform: (schema) => (schema.format === "binary" ? BLOB : undefined),
});
writeFileSync(output, astToString(types));
