// Call getProviderData of @flags-sdk/posthog. One JSON object a line, as in calls.py.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(process.env.CLIENTS_NODE + "/");
const { getProviderData } = require("@flags-sdk/posthog");

for await (const line of createInterface({ input: process.stdin })) {
  const result = await getProviderData({
    appHost: process.env.POSTHOG_HOST,
    personalApiKey: process.env.POSTHOG_API_KEY,
    ...JSON.parse(line).arguments,
  });
  process.stdout.write(JSON.stringify({ result }) + "\n");
}
