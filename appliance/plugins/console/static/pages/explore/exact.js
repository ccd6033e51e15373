/** An exact answer may take long: then it is a job, with its progress and a way to end it. */
import { html, useEffect, useState } from "../../base.js"
import { get, send, useAnswer } from "../../api.js"
import { change } from "../../router.js"

const POLL_MS = 500

/**
 * As `useAnswer`; while a job runs, `progress` shows it.
 * @param {string} path @param {Record<string, any>} params
 */
export function useExact(path, params) {
  const answer = useAnswer(path, params)
  const job = answer.data?.job ?? null
  const [state, setState] = useState(/** @type {any} */ ({}))
  useEffect(() => {
    setState({})
    if (!job) return undefined
    let timer = 0
    let isOver = false
    const look = async () => {
      try {
        const found = await get(`/api/v1/explore/jobs/${job}`)
        if (isOver) return
        setState(found)
        if (!found.answer && !found.error) timer = window.setTimeout(look, POLL_MS)
      } catch (error) {
        if (!isOver) setState({ error: error.message })
      }
    }
    look()
    return () => {
      isOver = true
      clearTimeout(timer)
    }
  }, [job])
  if (!job) return { ...answer, progress: null }
  const cancel = async () => {
    await send("DELETE", `/api/v1/explore/jobs/${job}`).catch(() => {})
    change({ exact: null }, { replace: true })
  }
  const share = state.rows ? state.rows_done / state.rows : 0
  const progress = state.answer ? null : html`<span class="row" role="status"><progress max="1" value=${share} aria-label="Flows read"></progress>
    ${Math.round(share * 100)} % <button type="button" onClick=${cancel}>Cancel</button></span>`
  return {
    ...answer,
    data: state.answer ?? null,
    error: state.error ? Object.assign(new Error(state.error), { status: 500 }) : null,
    isLoading: !state.answer,
    progress,
  }
}
