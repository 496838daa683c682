// Reads {"mermaid": [texts], "dot": [texts]} and answers, for each, null or what the real parser said.
import { JSDOM } from "jsdom";
import { readFileSync } from "node:fs";

const { window } = new JSDOM("<!DOCTYPE html><body></body>");
globalThis.window = window;
globalThis.document = window.document;
const { default: mermaid } = await import("mermaid");
const { instance } = await import("@viz-js/viz");
const viz = await instance();
mermaid.initialize({ startOnLoad: false, maxTextSize: 5_000_000, maxEdges: 100_000 });

const asked = JSON.parse(readFileSync(0, "utf8"));
const answers = { mermaid: [], dot: [] };
for (const text of asked.mermaid) {
  try {
    const { diagramType } = await mermaid.parse(text);
    const diagram = await mermaid.mermaidAPI.getDiagramFromText(text);
    const data = diagram.db.getData();
    answers.mermaid.push({
      error: null,
      type: diagramType,
      title: diagram.db.getDiagramTitle(),
      nodes: data.nodes.map((n) => ({ id: n.id, label: n.label, parent: n.parentId ?? null, group: n.isGroup, classes: n.cssClasses, shape: n.shape })),
      edges: data.edges.map((e) => ({ from: e.start, to: e.end, label: e.label })),
    });
  } catch (error) {
    answers.mermaid.push({ error: String(error.message ?? error) });
  }
}
for (const text of asked.dot) {
  const result = viz.render(text, { format: "svg" });
  answers.dot.push({
    error: result.status === "success" ? null : "failed",
    messages: result.errors.map((e) => e.message),
    output: result.output,
  });
}
process.stdout.write(JSON.stringify(answers));
