// Call tools of @posthog/agent-toolkit by name. One JSON object a line, as in calls.py.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(process.env.CLIENTS_NODE + "/");
const { PostHogAgentToolkit } = require("@posthog/agent-toolkit/tools");

const toolkit = new PostHogAgentToolkit({
  posthogApiToken: process.env.POSTHOG_API_KEY,
  posthogApiBaseUrl: process.env.POSTHOG_HOST,
});
const context = toolkit.getContext();
const tools = new Map((await toolkit.getTools()).map((tool) => [tool.name, tool]));

async function call(name, args) {
  if (name === "list_tools") return [...tools.keys()];
  const tool = tools.get(name);
  const { content } = await tool.handler(context, tool.schema.parse(args));
  return content.map((part) => part.text).join("");
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = { result: await call(request.call, request.arguments) };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
