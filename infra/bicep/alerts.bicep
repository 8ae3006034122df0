// Who is told of what: one action group, a rule for each promise that is about to break, a budget.
// docs/operations.md says what to do for each.
param name string
param location string
param tags object
param address string
param workspaceId string
param monthlyBudget int
param budgetStart string

// The app measures these (docs/operations.md). A gauge is judged by the worst instance, a counter by the sum of all.
// `frequency` and `window` are ISO 8601 durations; each rule costs by its frequency.
var rules = [
  {
    name: 'poison-queue'
    title: 'A message could not be handled and waits in a poison queue'
    severity: 2
    frequency: 'PT5M'
    window: 'PT10M'
    query: 'AppMetrics | where Name == "ee.poison.messages" | extend value = Sum / ItemCount | summarize value = max(value)'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'sends-failing'
    title: 'Mail cannot be sent'
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
    query: 'AppMetrics | where Name == "ee.send.failures" | summarize value = sum(Sum)'
    operator: 'GreaterThan'
    threshold: 3
  }
  {
    name: 'spool-not-draining'
    title: 'Hits wait on an instance\'s disk: storage is slow or away'
    severity: 1
    frequency: 'PT5M'
    window: 'PT10M'
    // Never empty in the whole window, on any one instance.
    query: 'AppMetrics | where Name == "ee.spool.waiting" | extend value = Sum / ItemCount | summarize value = min(value) by AppRoleInstance | summarize value = max(value)'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'journal-old'
    title: 'Hits are not folded: cards and counters are late'
    severity: 2
    frequency: 'PT5M'
    window: 'PT10M'
    query: 'AppMetrics | where Name == "ee.journal.age" | extend value = Sum / ItemCount | summarize value = max(value)'
    operator: 'GreaterThan'
    threshold: 60
  }
  {
    name: 'silent'
    title: 'Nothing is heard of the app'
    severity: 1
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppMetrics | where Name startswith "ee." | summarize value = count()'
    operator: 'LessThan'
    threshold: 1
  }
]

resource receivers 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${name}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'engagement'
    emailReceivers: [{ name: 'operator', emailAddress: address, useCommonAlertSchema: true }]
  }
}

resource alertRules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: 'alert-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Email Engagement: ${rule.title}'
      description: 'What to do: docs/operations.md, ${rule.name}'
      enabled: true
      severity: rule.severity
      scopes: [workspaceId]
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      autoMitigate: true
      // The tables come with the first metrics, after the rules.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            metricMeasureColumn: 'value'
            timeAggregation: 'Maximum'
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: { actionGroups: [receivers.id] }
    }
  }
]

resource budget 'Microsoft.Consumption/budgets@2024-08-01' = if (monthlyBudget > 0 && !empty(budgetStart)) {
  name: 'budget-${name}'
  properties: {
    category: 'Cost'
    amount: monthlyBudget
    timeGrain: 'Monthly'
    timePeriod: { startDate: budgetStart }
    notifications: {
      spent: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 80
        thresholdType: 'Actual'
        contactEmails: [address]
      }
      expected: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: [address]
      }
    }
  }
}
