// Reads one request a line from stdin, calls with the client that it names, and writes what came of it as one line.
import { createInterface } from "node:readline";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { generateText, jsonSchema, streamText, tool } from "ai";
import OpenAI from "openai";

globalThis.AI_SDK_LOG_WARNINGS = false;

/** What was heard so far; the calls of tools by their place. */
const nothing = () => ({ text: "", calls: [], finish: null, tokens: null, raised: null });

async function withOpenAI({ url, key, model, question, tools, stream }) {
  const client = new OpenAI({ apiKey: key, baseURL: url, maxRetries: 0 });
  const body = { model, messages: [{ role: "user", content: question }] };
  if (tools)
    body.tools = Object.entries(tools).map(([name, parameters]) => ({ type: "function", function: { name, parameters } }));
  const heard = nothing();
  const usage = (told) => (heard.tokens = told ? [told.prompt_tokens, told.completion_tokens] : heard.tokens);
  if (!stream) {
    const answer = await client.chat.completions.create(body);
    const [choice] = answer.choices;
    heard.text = choice.message.content ?? "";
    heard.finish = choice.finish_reason;
    heard.calls = (choice.message.tool_calls ?? []).map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
    usage(answer.usage);
    return heard;
  }
  const parts = [];
  const answer = await client.chat.completions.create({ ...body, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of answer) {
    usage(chunk.usage);
    for (const { delta, finish_reason } of chunk.choices) {
      heard.text += delta.content ?? "";
      heard.finish = finish_reason ?? heard.finish;
      for (const call of delta.tool_calls ?? []) {
        const part = (parts[call.index] ??= ["", ""]);
        part[0] ||= call.function.name ?? "";
        part[1] += call.function.arguments ?? "";
      }
    }
  }
  heard.calls = parts.map(([name, given]) => [name, JSON.parse(given)]);
  return heard;
}

async function withAI({ url, key, model, question, tools, stream }) {
  const provider = createOpenAICompatible({ name: "it", apiKey: key, baseURL: url, includeUsage: true });
  const asked = { model: provider(model), prompt: question, maxRetries: 0 };
  if (tools)
    asked.tools = Object.fromEntries(
      Object.entries(tools).map(([name, schema]) => [name, tool({ inputSchema: jsonSchema(schema) })]),
    );
  const heard = nothing();
  let answer;
  if (stream) {
    answer = streamText({ ...asked, onError: () => {} });
    for await (const part of answer.fullStream) if (part.type === "error") throw part.error;
  } else answer = await generateText(asked);
  heard.text = await answer.text;
  heard.finish = await answer.finishReason;
  heard.calls = (await answer.toolCalls).map((call) => [call.toolName, call.input]);
  const usage = await answer.usage;
  heard.tokens = [usage.inputTokens, usage.outputTokens];
  return heard;
}

async function withResponses({ url, key, model, question, tools, stream }) {
  const client = new OpenAI({ apiKey: key, baseURL: url, maxRetries: 0 });
  const asked = { model, input: question, store: false };
  if (tools)
    asked.tools = Object.entries(tools).map(([name, parameters]) => ({ type: "function", name, parameters, strict: false }));
  const heard = nothing();
  let answer;
  if (stream) {
    const told = client.responses.stream(asked);
    for await (const event of told) if (event.type === "response.output_text.delta") heard.text += event.delta;
    answer = await told.finalResponse();
  } else {
    answer = await client.responses.create(asked);
    heard.text = answer.output_text;
  }
  const calls = answer.output.filter((item) => item.type === "function_call");
  heard.calls = calls.map((call) => [call.name, JSON.parse(call.arguments)]);
  heard.finish = calls.length ? "tool_calls" : answer.status === "completed" ? "stop" : answer.status;
  heard.tokens = [answer.usage.input_tokens, answer.usage.output_tokens];
  return heard;
}

const ends = { end_turn: "stop", max_tokens: "length", tool_use: "tool_calls" };

async function withAnthropic({ url, key, model, question, tools, stream }) {
  const client = new Anthropic({ apiKey: key, baseURL: url, maxRetries: 0 });
  const asked = { model, max_tokens: 1000, messages: [{ role: "user", content: question }] };
  if (tools) asked.tools = Object.entries(tools).map(([name, schema]) => ({ name, input_schema: schema }));
  const heard = nothing();
  let answer;
  if (stream) {
    const told = client.messages.stream(asked).on("text", (text) => (heard.text += text));
    answer = await told.finalMessage();
  } else {
    answer = await client.messages.create(asked);
    heard.text = answer.content.map((block) => block.text ?? "").join("");
  }
  heard.calls = answer.content.filter((block) => block.type === "tool_use").map((block) => [block.name, block.input]);
  heard.finish = ends[answer.stop_reason] ?? answer.stop_reason;
  const { input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens } = answer.usage;
  heard.tokens = [input_tokens + (cache_read_input_tokens ?? 0) + (cache_creation_input_tokens ?? 0), output_tokens];
  return heard;
}

const clients = { openai: withOpenAI, ai: withAI, "openai responses": withResponses, anthropic: withAnthropic };

/** The class of an error; the ai package has one for all statuses, so that its status is part of the name. */
function named(error) {
  const status = error?.statusCode;
  const name = error?.constructor?.name || error?.name || typeof error;
  return status ? `${error.name} ${status >= 500 ? "5xx" : status}` : name;
}

const dispatcher = Symbol.for("undici.globalDispatcher.1"); // where fetch of Node keeps its connections

/** End the connections that were left open: the servers of the next test are others. */
async function hangUp() {
  const agent = globalThis[dispatcher];
  if (!agent) return;
  globalThis[dispatcher] = new agent.constructor();
  await agent.destroy();
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let heard;
  try {
    heard = await clients[asked.client](asked);
  } catch (error) {
    heard = { ...nothing(), raised: named(error) };
  }
  await hangUp();
  process.stdout.write(JSON.stringify(heard) + "\n");
}
