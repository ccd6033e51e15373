/** Where traffic goes from column to column: one column a dimension, laid out by d3-sankey. */
import { sankey, sankeyLinkHorizontal } from "d3-sankey"
import { html, useMemo } from "../base.js"
import { coloursOf } from "../colours.js"
import { cells, keysOf } from "../labels.js"
import { MEASURES, si } from "../units.js"

const WIDTH = 960

/** @param {{rows: any[], measure: string}} props rows of `/api/v1/explore/top` */
export function Sankey({ rows, measure }) {
  const graph = useMemo(() => layOut(rows, measure), [rows, measure])
  const unit = MEASURES[measure].sumUnit
  const title = (link) => `${link.source.label} → ${link.target.label}: ${si(link.value, unit)}`
  return html`<svg class="sankey" viewBox=${`0 0 ${WIDTH} ${graph.height}`} role="img" aria-label=${`${graph.links.length} streams between ${graph.nodes.length} ends`}>
    ${graph.links.map((link, index) => html`<path key=${index} d=${sankeyLinkHorizontal()(link)} stroke=${link.source.colour} stroke-width=${Math.max(link.width, 1)}><title>${title(link)}</title></path>`)}
    ${graph.nodes.map((node) => html`<g key=${node.id}><rect x=${node.x0} y=${node.y0} width=${node.x1 - node.x0} height=${Math.max(node.y1 - node.y0, 1)} fill=${node.colour}><title>${`${node.label}: ${si(node.value, unit)}`}</title></rect>
      <text x=${node.x0 < WIDTH / 2 ? node.x1 + 6 : node.x0 - 6} y=${(node.y0 + node.y1) / 2} dy="0.35em" text-anchor=${node.x0 < WIDTH / 2 ? "start" : "end"}>${short(node.label)}</text></g>`)}</svg>`
}

function short(text) {
  return text.length > 34 ? `${text.slice(0, 33)}…` : text
}

function layOut(rows, measure) {
  const nodes = new Map()
  const links = new Map()
  for (const row of rows) {
    const path = cells(keysOf(row)).map((cell, depth) => {
      const id = `${depth} ${cell.text} ${cell.note ?? ""}`
      nodes.set(id, { id, label: cell.text, depth })
      return id
    })
    for (let index = 1; index < path.length; index += 1) {
      const name = `${path[index - 1]}\n${path[index]}`
      const link = links.get(name) ?? { source: path[index - 1], target: path[index], value: 0 }
      link.value += row[measure]
      links.set(name, link)
    }
  }
  const all = [...nodes.values()]
  coloursOf(all.map((node) => node.label)).forEach((colour, index) => { all[index].colour = colour })
  const widest = Math.max(...[0, 1, 2].map((depth) => all.filter((node) => node.depth === depth).length), 4)
  const height = Math.min(Math.max(widest * 26, 240), 900)
  const layout = sankey().nodeId((node) => node.id).nodeAlign((node) => node.depth).nodeWidth(12).nodePadding(10).extent([[0, 4], [WIDTH, height - 4]])
  return { ...layout({ nodes: all, links: [...links.values()] }), height }
}
