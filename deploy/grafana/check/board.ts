// What our dashboards may look like, by Grafana's own types: every key known, every word one of those allowed.
import type { Dashboard, DataQuery, FieldConfig, Panel, RowPanel } from '@grafana/schema';
import type * as Stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as States from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as Curves from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON has no enums: an enum of words is one of its words, a number stays a number.
type Plain<T> = T extends string ? `${T}` : T extends object ? { [Key in keyof T]: Plain<T[Key]> } : T;

// Grafana leaves these open, for panels and data sources that it does not know; ours are known.
interface PrometheusQuery extends DataQuery {
  expr: string;
  legendFormat: string;
  instant: boolean;
  range: boolean;
}
interface Typed<Kind extends string, Options, Custom> extends Omit<Panel, 'type' | 'options' | 'targets' | 'fieldConfig'> {
  type: Kind;
  options: Options;
  targets: PrometheusQuery[];
  fieldConfig: { defaults: Omit<FieldConfig, 'custom'> & { custom: Custom }; overrides: [] };
}
interface Annotation {
  name: string;
  datasource: { type: 'prometheus'; uid: string };
  enable: boolean;
  iconColor: string;
  expr: string;
  titleFormat: string;
}

export type Board = Plain<
  Omit<Dashboard, 'panels' | 'annotations'> & {
    annotations: { list: Annotation[] };
    panels: Array<
      | RowPanel
      | Typed<'stat', Stat.Options, Record<string, never>>
      | Typed<'timeseries', Curves.Options, Curves.FieldConfig>
      | Typed<'state-timeline', States.Options, States.FieldConfig>
    >;
  }
>;
