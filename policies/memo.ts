/**
 * Remembers answers to questions that come again, up to a bound: when so many were asked for the first time, those that were not asked
 * since the last such moment are forgotten. Costs one look-up where the answer is known.
 */
export class Memo<T> {
  private recent = new Map<string, T>();
  private older = new Map<string, T>();

  /**
   * @param most answers to keep are from this many to twice as many
   * @param ask gives the answer; called for what is not remembered
   */
  constructor(
    private readonly most: number,
    private readonly ask: (question: string) => T,
  ) {}

  answer(question: string): T {
    return this.recent.get(question) ?? this.recall(question);
  }

  private recall(question: string): T {
    const answer = this.older.get(question) ?? this.ask(question);
    if (this.recent.size >= this.most) {
      this.older = this.recent;
      this.recent = new Map();
    }
    this.recent.set(question, answer);
    return answer;
  }
}
