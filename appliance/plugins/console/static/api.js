/** The REST API, and whether it answers: every request of the console goes through here. */
import { Shared, useCallback, useEffect, useRef, useState } from "./base.js"

/** Whether the server answers. */
export const isAway = new Shared(false)

/** Whether the session has ended; the page stays as it is below the sign-in. */
export const isSignedOut = new Shared(false)

/** The filter that the user is bound to; empty: none. */
export const boundTo = new Shared("")

/** What answers nobody who is bound, as it cannot be limited to a filter. */
const CLOSED = /^\/api\/v1\/(exporters|health|interfaces|names)(\/|$)/

/** Grows when everything on the page should be asked again. */
export const refreshes = new Shared(0)

const RENEW_MS = 6 * 60_000
const RETRY_MS = 3000
let renewedAt = 0
let retryTimer = 0

/** An answer other than 2xx, or none at all. */
export class ApiError extends Error {
  /** @param {number} status 0 where nobody answered @param {string} message @param {object} body */
  constructor(status, message, body = {}) {
    super(message)
    this.status = status
    this.body = body
  }

  /** What is said of it, one by one: sentences, or objects of a sentence by field. @returns {(string | object)[]} */
  get parts() {
    const { message, error } = /** @type {any} */ (this.body)
    return message === undefined && Array.isArray(error) ? error : [this.message]
  }
}

/** @param {any} body @param {number} status */
function sentenceOf(body, status) {
  const text = body?.message ?? body?.error ?? `The appliance answered ${status}`
  if (!Array.isArray(text)) return String(text)
  return text.map((part) => (typeof part === "object" ? Object.values(part).join(". ") : part)).join(". ")
}

/**
 * Return a path with its query; empty values are left out.
 * @param {string} path @param {Record<string, any>} [params]
 */
export function withQuery(path, params = {}) {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "" && value !== false) {
      query.set(name, String(value))
    }
  }
  const text = query.toString()
  return text ? `${path}?${text}` : path
}

/**
 * Ask the API.
 * @param {string} path @param {RequestInit & {json?: unknown, anonymous?: boolean}} [options]
 * @returns {Promise<any>} what JSON says
 */
export async function request(path, { json, anonymous, ...options } = {}) {
  const headers = new Headers(options.headers)
  if (json !== undefined) {
    headers.set("Content-Type", "application/json")
    options.body = JSON.stringify(json)
  }
  let response
  try {
    response = await turn(path, () => fetch(path, { ...options, headers, credentials: "same-origin" }))
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error
    watchForServer()
    throw new ApiError(0, "The appliance does not answer")
  }
  isAway.set(false)
  const text = await response.text()
  const body = parse(text)
  if (response.ok) {
    if (!anonymous) renewSoon()
    return body
  }
  if (response.status === 401 && !anonymous) isSignedOut.set(true)
  throw new ApiError(response.status, sentenceOf(body, response.status), body ?? {})
}

const LIMITED = /^\/api\/v1\/explore\/(top|series|flows)/
const MOST_RUNNING = 2
const MOST_TRIES = 20
let running = 0
/** @type {(() => void)[]} */
const waiting = []

/**
 * The query engine takes two questions of a user at a time: more wait here, in their order; another
 * tab of the same user may be in the way for a while.
 * @param {string} path @param {() => Promise<Response>} ask
 */
async function turn(path, ask) {
  if (!LIMITED.test(path)) return ask()
  if (running >= MOST_RUNNING) await new Promise((resolve) => waiting.push(() => resolve(undefined)))
  running += 1
  try {
    let response = await ask()
    for (let tries = 1; response.status === 429 && tries < MOST_TRIES; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 150 + 50 * tries))
      response = await ask()
    }
    return response
  } finally {
    running -= 1
    waiting.shift()?.()
  }
}

/** @param {string} path @param {Record<string, any>} [params] @param {AbortSignal} [signal] */
export function get(path, params, signal) {
  return request(withQuery(path, params), { signal })
}

const JOBS = "/api/v1/explore/jobs/"
const JOB_MS = 400

/**
 * Ask; where the answer is a job (an exact answer over very many flows), wait for it.
 * @param {string} question
 * @param {AbortSignal} signal cancels the job too
 * @param {(job: any) => void} onJob told how far it is
 */
async function answerOf(question, signal, onJob) {
  let answer = await request(question, { signal })
  if (typeof answer?.progress !== "number") return answer
  const path = `${JOBS}${answer.id}`
  const cancel = () => request(path, { method: "DELETE" }).catch(() => {})
  signal.addEventListener("abort", cancel, { once: true })
  try {
    while (answer.state === "running") {
      onJob(answer)
      await new Promise((resolve) => setTimeout(resolve, JOB_MS))
      answer = await request(path, { signal })
    }
  } finally {
    signal.removeEventListener("abort", cancel)
  }
  if (answer.state === "done") return answer.answer
  throw new ApiError(503, answer.message)
}

/** @param {string} method @param {string} path @param {unknown} [json] */
export function send(method, path, json) {
  return request(path, { method, json })
}

/**
 * Ask, and ask again when the question changes or the page is refreshed. What was answered stays
 * until the next answer, so nothing flickers. What is closed to a bound user is not asked for.
 * @param {string | null} path null asks nothing
 * @param {Record<string, any>} [params]
 * @param {{everyMs?: number, isLong?: boolean}} [options] isLong: asked again by `reload` only
 */
export function useAnswer(path, params, { everyMs = 0, isLong = false } = {}) {
  const isClosed = boundTo.use() !== "" && path !== null && CLOSED.test(path)
  const question = path === null || isClosed ? null : withQuery(path, params)
  const refresh = refreshes.use()
  const [again, setAgain] = useState(0)
  const [state, setState] = useState({ question: "", data: null, error: null, isLoading: true, job: null, isFromJob: false })
  const reload = useCallback(() => setAgain((count) => count + 1), [])
  const timer = useRef(0)
  // What takes long is not asked for again by itself.
  const asked = useRef(refresh)
  if (!isLong && !state.job && !(state.isFromJob && state.question === question)) asked.current = refresh
  useEffect(() => {
    if (question === null) return undefined
    const controller = new AbortController()
    setState((old) => ({ ...old, isLoading: true, job: null }))
    let isFromJob = false
    const onJob = (job) => {
      isFromJob = true
      setState((old) => ({ ...old, job }))
    }
    answerOf(question, controller.signal, onJob).then(
      (data) => setState({ question, data, error: null, isLoading: false, job: null, isFromJob }),
      (error) => {
        if (error.name === "AbortError") return
        setState((old) => ({
          question,
          data: error.status === 0 || error.status === 401 ? old.data : null,
          error,
          isLoading: false,
          job: null,
          isFromJob,
        }))
      },
    )
    if (everyMs) timer.current = window.setTimeout(() => whenVisible(reload), everyMs)
    return () => {
      controller.abort()
      clearTimeout(timer.current)
    }
  }, [question, asked.current, again, everyMs])
  return { ...state, isStale: state.question !== question, reload }
}

/** @param {() => void} act */
function whenVisible(act) {
  if (!document.hidden) return act()
  document.addEventListener("visibilitychange", act, { once: true })
}

/** @param {string} text */
function parse(text) {
  try {
    return text ? JSON.parse(text) : null
  } catch {
    return { message: text.slice(0, 200) }
  }
}

/** Renew the token while the console is used: it lives for twenty minutes. */
function renewSoon() {
  const now = Date.now()
  if (now - renewedAt < RENEW_MS) return
  const isFirst = renewedAt === 0
  renewedAt = now
  if (!isFirst) fetch("/auth", { method: "POST", credentials: "same-origin" }).catch(() => {})
}

function watchForServer() {
  isAway.set(true)
  clearTimeout(retryTimer)
  retryTimer = window.setTimeout(async () => {
    try {
      await fetch("/v1/api/", { cache: "no-store" })
      isAway.set(false)
      refreshes.set(refreshes.value + 1)
    } catch {
      watchForServer()
    }
  }, RETRY_MS)
}

/**
 * Sign in; the token is a cookie that scripts cannot read.
 * @param {string} name @param {string} password @param {string} [code] of an authenticator
 */
export async function signIn(name, password, code) {
  const octets = new TextEncoder().encode(`${name}:${password}`)
  const basic = btoa(String.fromCharCode(...octets))
  await request("/auth", {
    method: "POST",
    headers: { Authorization: `Basic ${basic}` },
    json: code ? { totp: code } : undefined,
    anonymous: true,
  })
  renewedAt = Date.now()
  isSignedOut.set(false)
  // What was refused meanwhile is asked again.
  refreshes.set(refreshes.value + 1)
}

/** End the session; nothing of what was shown stays. */
export async function signOut() {
  await request("/signout", { anonymous: true })
  location.assign("/console/")
}
