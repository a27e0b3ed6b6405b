import type { ScalingGroup } from '@lockkeeper/aws';
import type { Minimum, RollContext } from './roll-context.ts';
import type { Watch } from './watch.ts';

/**
 * Minimum sizes of Auto Scaling groups. A group at its minimum lets nobody into standby, so its minimum makes room
 * while members are away, and is what it was as soon as they are back. Written down before it is lowered.
 */
export class Minimums {
  readonly #context: Pick<RollContext, 'scaling' | 'saveMinimums' | 'log'>;
  readonly #watch: Watch;
  #known: Minimum[];

  constructor(context: RollContext, watch: Watch) {
    this.#context = context;
    this.#watch = watch;
    this.#known = [...context.minimums];
  }

  /** Those that are, or may be, lowered. */
  get known(): readonly Minimum[] {
    return this.#known;
  }

  /** Lets that many more members step aside. False: nobody knows whether it happened. */
  async makeRoom({ name, desired, minSize }: ScalingGroup, members: number): Promise<boolean> {
    const room = Math.max(0, desired - members);
    if (room >= minSize) return true;
    const { scaling, saveMinimums, log } = this.#context;
    if (!this.#known.some(({ group }) => group === name)) {
      this.#known = [...this.#known, { group: name, minSize }];
      saveMinimums(this.#known);
    }
    log.info(`lowering the minimum size of ${name} from ${minSize} to ${room} while members are in standby`);
    return this.#watch.change(() => scaling.setMinSize(name, room));
  }

  /**
   * Raises it again: to what it was, or, while other members are still away, as far as nobody is launched for it. False:
   * nobody knows whether it happened.
   */
  async restore(
    { name, desired, minSize }: ScalingGroup,
    { allBack }: { allBack: boolean },
  ): Promise<boolean> {
    const before = this.#known.find(({ group }) => group === name);
    if (!before) return true;
    const { scaling, log } = this.#context;
    const wanted = allBack ? before.minSize : Math.min(before.minSize, desired);
    if (minSize < wanted) {
      if (!(await this.#watch.change(() => scaling.setMinSize(name, wanted)))) return false;
      log.info(`the minimum size of ${name} is ${wanted} again`);
    }
    if (allBack) this.forget(name);
    return true;
  }

  /** Nothing is left to raise there. */
  forget(name: string): void {
    this.#known = this.#known.filter(({ group }) => group !== name);
    this.#context.saveMinimums(this.#known);
  }
}
