// A verdict in words, and what it was held against.
import { opponent, score, words } from './format';
import type { Decision } from './shapes';

/// What the gain has to exceed: the gain that is asked for, or the loss that is allowed.
export function barOf(decision: Decision): number {
  return decision.rule === 'not_worse' ? -(decision.margin ?? 0) : (decision.better_by ?? 0);
}

/// The colour of the case: it passes, it is refused, or it cannot be told.
export function toneOf(decision: Decision): 'good' | 'bad' | 'open' {
  if (decision.verdict === 'better' || decision.verdict === 'not_worse') return decision.promotes === false ? 'bad' : 'good';
  return decision.verdict === 'not_better' || decision.verdict === 'worse' ? 'bad' : 'open';
}

/// The verdict in one sentence, for who reads nothing else.
export function headline(decision: Decision, candidate: string): string {
  const other = decision.opponent_kind ? `the ${opponent(decision.opponent_kind, decision.opponent_version)}` : 'what it was held against';
  const figures = decision.candidate === null || decision.candidate === undefined ? '' : `: ${words(decision.metric ?? 'score')} ${score(decision.candidate)} against ${score(decision.opponent)}`;
  const stays = decision.promotes === false ? ', but it is kept out' : '';
  switch (decision.verdict as string) {
    case 'live_unscorable':
      return `${candidate} was compared with nothing: ${other} cannot be scored any more.`;
    case 'better':
      return `${candidate} is proven better than ${other}${stays}${figures}.`;
    case 'not_worse':
      return `${candidate} is proven not to be worse than ${other}${stays}${figures}.`;
    case 'not_better':
      return `${candidate} is not better than ${other}${figures}.`;
    case 'worse':
      return `${candidate} is worse than ${other} by more than is allowed${figures}.`;
    case 'inconclusive':
      return `It is not proven that ${candidate} beats ${other}${figures}.`;
    default:
      return `${candidate}: ${words(String(decision.verdict ?? 'no verdict'))}${figures}.`;
  }
}

/// What the rule of the spec asks for.
export function ruleText(decision: Decision): string {
  const held = decision.confidence ? `, with confidence ${+(decision.confidence * 100).toFixed(2)} % over all looks` : '';
  if (decision.rule === 'not_worse') return `not worse: a loss of less than ${score(decision.margin)} has to be proven${held}`;
  const asked = decision.better_by ? ` of more than ${score(decision.better_by)}` : '';
  return `better: a gain${asked} has to be proven${held}`;
}

const kTests: Record<string, string> = { mcnemar_exact: 'exact McNemar test', tango_score: 'Tango’s score test', paired_t: 'paired t test',
  clustered_t: 'paired t test over groups', diebold_mariano: 'Diebold–Mariano test', none: 'no test: nothing to measure chance by' };

export function testText(name: string | undefined): string {
  return name ? (kTests[name] ?? words(name)) : 'a test that was not noted';
}
