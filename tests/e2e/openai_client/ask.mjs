// What a tenant's program does with OpenAI's client for JavaScript; what came of it goes to standard output, as JSON.
import OpenAI from 'openai'

const [baseURL, apiKey, prompt] = process.argv.slice(2)
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000 })
const messages = [{ role: 'user', content: prompt }]
const asked = { model: 'simulated', messages, max_tokens: 8 }
const out = {}

const { data, response } = await client.chat.completions.create({ ...asked, simulate: { output_tokens: 8 } }).withResponse()
out.plain = { usage: data.usage, said: data.choices[0].message.content, limit: response.headers.get('x-ratelimit-limit-requests') }

out.stream = { pieces: 0, usage: null }
const options = { stream: true, stream_options: { include_usage: true }, simulate: { output_tokens: 5 } }
for await (const chunk of await client.chat.completions.create({ ...asked, ...options })) {
  if (chunk.choices[0]?.delta?.content) out.stream.pieces += 1
  if (chunk.usage) out.stream.usage = chunk.usage
}

const long = await client.chat.completions.create({ ...asked, max_tokens: 3000, stream: true, ignore_eos: true })
for await (const chunk of long) {
  if (!chunk.choices[0]?.delta?.content) continue
  try {
    await client.chat.completions.create(asked)
  } catch (error) {
    const { status, code, type, message } = error
    const again = error.headers.get('retry-after')
    out.refused = { limited: error instanceof OpenAI.RateLimitError, status, code, type, message, again, error: error.error }
  }
  long.controller.abort()
  break
}

const tried = async (ask) => {
  const until = Date.now() + 30_000
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof OpenAI.RateLimitError) || Date.now() > until) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
// The slot of the stream that was left is free in a moment.
const embedded = await tried(() => client.embeddings.create({ model: 'simulated', input: [prompt, prompt], dimensions: 4 }))
out.embeddings = { vectors: embedded.data.map((each) => each.embedding.length), usage: embedded.usage }

const answered = await client.responses.create({ model: 'simulated', input: prompt, max_output_tokens: 6, simulate: { output_tokens: 9 } })
out.responses = { text: answered.output_text, status: answered.status, usage: answered.usage }
out.events = []
for await (const event of await client.responses.create({ model: 'simulated', input: prompt, max_output_tokens: 3, stream: true })) {
  out.events.push(event.type)
}

try {
  await new OpenAI({ baseURL, apiKey: 'bk-wrong', maxRetries: 0 }).models.list()
} catch (error) {
  out.stranger = { status: error.status, code: error.code, known: error instanceof OpenAI.AuthenticationError }
}
out.models = (await client.models.list()).data.map((each) => each.id)
console.log(JSON.stringify(out))
