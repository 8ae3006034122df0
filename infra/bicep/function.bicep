// The app: a Flex Consumption plan, the function app with its settings, and the host name of the links.
param name string
param location string
param tags object
param identityId string
param identityClientId string
param storageAccount string
param packageContainerUrl string
@description('App settings STORAGE_<NAME> of organizations with an account of their own.')
param organizationStorage array
@description('Organizations that brought links from another deployment: their keys are the secrets link-keys-<name>.')
param organizationsWithLinkKeys array
param vaultName string
param applicationInsightsConnectionString string
@description('Empty where the app reaches out over public addresses.')
param subnetId string
param instanceMemory int
param maximumInstances int
param httpConcurrency int
param alwaysReadyHttp int
param alwaysReadyFold int
param webApiAudience string
param tokenKey int
param trustedProxies string
param customDomain string
param customDomainCertificate string

// HTTP functions scale together, every other function by itself.
var httpReady = alwaysReadyHttp > 0 ? [{ name: 'http', instanceCount: alwaysReadyHttp }] : []
var foldReady = alwaysReadyFold > 0 ? [{ name: 'function:fold', instanceCount: alwaysReadyFold }] : []
var hostName = empty(customDomain) ? '${name}.azurewebsites.net' : customDomain
var baseUrl = 'https://${hostName}'
var secretsUrl = 'https://${vaultName}${environment().suffixes.keyvaultDns}/secrets'
// docs/settings.md says what each is. A test compares them with what the code reads.
var settings = [
  { name: 'AzureWebJobsStorage__accountName', value: storageAccount }
  { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
  { name: 'AzureWebJobsStorage__clientId', value: identityClientId }
  { name: 'AzureWebJobsDisableHomepage', value: 'true' }
  { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: applicationInsightsConnectionString }
  { name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING', value: 'ClientId=${identityClientId};Authorization=AAD' }
  { name: 'OTEL_METRIC_EXPORT_INTERVAL', value: '60000' }
  { name: 'BASE_URL', value: baseUrl }
  { name: 'TOKEN_SECRETS', value: '@Microsoft.KeyVault(SecretUri=${secretsUrl}/token-secrets)' }
  { name: 'TOKEN_KEY', value: string(tokenKey) }
  { name: 'TRUSTED_PROXIES', value: trustedProxies }
  { name: 'SPOOL_DIR', value: '/tmp/email-engagement-spool' }
  { name: 'SPOOL_MAX_BYTES', value: '268435456' }
  { name: 'ANSWER_BUDGET_SECONDS', value: '0.15' }
  { name: 'WEB_API_AUDIENCE', value: webApiAudience }
  { name: 'WEB_API_REQUESTS_PER_FIVE_MINUTES', value: '6000' }
  { name: 'DELIVERY_CLAIM_SECONDS', value: '300' }
]

var linkKeySettings = [
  for organization in organizationsWithLinkKeys: {
    name: 'LINK_KEYS_${toUpper(organization)}'
    value: '@Microsoft.KeyVault(SecretUri=${secretsUrl}/link-keys-${organization})'
  }
]

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { tier: 'FlexConsumption', name: 'FC1' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'engagement' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      appSettings: concat(settings, organizationStorage, linkKeySettings)
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
      runtime: { name: 'python', version: '3.13' }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemory
        maximumInstanceCount: maximumInstances
        alwaysReady: concat(httpReady, foldReady)
        triggers: { http: { perInstanceConcurrency: httpConcurrency } }
      }
    }
  }
}

// Nobody deploys with a password.
resource noScmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource certificate 'Microsoft.Web/sites/certificates@2024-11-01' = if (!empty(customDomainCertificate)) {
  parent: app
  name: 'links'
  location: location
  tags: tags
  properties: { keyVaultId: vault.id, keyVaultSecretName: customDomainCertificate, serverFarmId: plan.id }
}

resource linkHost 'Microsoft.Web/sites/hostNameBindings@2024-11-01' = if (!empty(customDomain)) {
  parent: app
  name: empty(customDomain) ? 'unused' : customDomain
  properties: {
    siteName: app.name
    hostNameType: 'Verified'
    customHostNameDnsRecordType: 'CName'
    sslState: empty(customDomainCertificate) ? 'Disabled' : 'SniEnabled'
    thumbprint: empty(customDomainCertificate) ? null : (certificate!.properties.thumbprint)
  }
}

output name string = app.name
output baseUrl string = baseUrl
