export {
  ExpressionError,
  type ExpressionStatus,
  evaluateCondition,
  evaluateTemplate,
  evaluateValue,
} from './expressions.ts';
export type * from './job.ts';
