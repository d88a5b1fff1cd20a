// The steps of a run as a drawing: layers of nodes, each after all that it needs. Trials, and layers of many equal steps,
// stand together as one node.
import type { Step } from './shapes';

export interface Node {
  name: string;
  steps: Step[];
  layer: number;
  row: number;
  needs: string[];
}

/// A layer with more nodes than this is drawn as one.
const kMostInLayer = 8;

export function nodesOf(steps: Step[]): Node[] {
  const depth = depths(steps);
  const home = new Map<string, string>();
  const sizes = new Map<number, number>();
  for (const step of steps) sizes.set(depth.get(step.name)!, (sizes.get(depth.get(step.name)!) ?? 0) + 1);
  for (const step of steps) {
    const layer = depth.get(step.name)!;
    const crowded = sizes.get(layer)! > kMostInLayer;
    home.set(step.name, step.kind === 'trial' ? 'trials' : crowded ? `${step.kind}s ${layer}` : step.name);
  }
  const nodes = new Map<string, Node>();
  const filled = new Map<number, number>();
  for (const step of steps) {
    const name = home.get(step.name)!;
    let node = nodes.get(name);
    if (!node) {
      const layer = depth.get(step.name)!;
      node = { name, steps: [], layer, row: filled.get(layer) ?? 0, needs: [] };
      filled.set(layer, node.row + 1);
      nodes.set(name, node);
    }
    node.steps.push(step);
    for (const need of step.needs ?? []) {
      const from = home.get(need);
      if (from && from !== name && !node.needs.includes(from)) node.needs.push(from);
    }
  }
  return [...nodes.values()].map((node) => ({ ...node, needs: direct(node, nodes) }));
}

/// The longest way to each step. Steps come after those they need.
function depths(steps: Step[]): Map<string, number> {
  const depth = new Map<string, number>();
  for (const step of steps) depth.set(step.name, Math.max(-1, ...(step.needs ?? []).map((need) => depth.get(need) ?? -1)) + 1);
  return depth;
}

/// Without needs that another need has already: an arrow for each would hide the shape.
function direct(node: Node, nodes: Map<string, Node>): string[] {
  const reach = (from: string, seen = new Set<string>()): Set<string> => {
    for (const need of nodes.get(from)?.needs ?? []) if (!seen.has(need)) reach(need, seen.add(need));
    return seen;
  };
  const implied = new Set(node.needs.flatMap((need) => [...reach(need)]));
  return node.needs.filter((need) => !implied.has(need));
}

export function stateOf(node: Node): string {
  const states = new Set(node.steps.map((step) => step.state));
  for (const state of ['failed', 'running', 'cancelled']) if (states.has(state) && !(state === 'failed' && node.name === 'trials')) return state;
  return states.has('pending') ? (states.size > 1 ? 'running' : 'pending') : states.has('succeeded') ? 'succeeded' : [...states][0]!;
}
