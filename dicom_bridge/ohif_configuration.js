// OHIF for the images of this server. A token comes behind # in the address, where no server sees it, and goes along with
// each request for images: /ohif/viewer?StudyInstanceUIDs=1.2.3#access_token=...
(() => {
  const IMAGES = `${location.origin}/dicom-web/`;
  const KEPT = 'nhipcau.images';
  const found = new URLSearchParams(location.hash.slice(1)).get('access_token');
  if (found) {
    sessionStorage.setItem(KEPT, found);
    history.replaceState(null, '', location.pathname + location.search);
  }
  const token = sessionStorage.getItem(KEPT);
  if (token) {
    const isOfImages = (url) => new URL(url, location.href).href.startsWith(IMAGES);
    const open = XMLHttpRequest.prototype.open;
    XMLHttpRequest.prototype.open = function (method, url, ...rest) {
      open.call(this, method, url, ...(rest.length ? rest : [true]));
      if (isOfImages(url)) this.setRequestHeader('Authorization', `Bearer ${token}`);
    };
    const ask = window.fetch;
    window.fetch = (resource, options) => {
      const request = new Request(resource, options);
      if (isOfImages(request.url)) request.headers.set('Authorization', `Bearer ${token}`);
      return ask(request);
    };
  }
  window.config = {
    name: 'nhipcau',
    routerBasename: '/ohif',
    extensions: [],
    modes: [],
    customizationService: {},
    showStudyList: true,
    showWarningMessageForCrossOrigin: false,
    showCPUFallbackMessage: true,
    showLoadingIndicator: true,
    strictZSpacingForVolumeViewport: true,
    maxNumberOfWebWorkers: 3,
    maxNumRequests: { interaction: 20, thumbnail: 10, prefetch: 20 },
    investigationalUseDialog: { option: 'never' },
    defaultDataSourceName: 'nhipcau',
    dataSources: [
      {
        namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
        sourceName: 'nhipcau',
        configuration: {
          friendlyName: 'Nhịp Cầu',
          qidoRoot: '/dicom-web',
          wadoRoot: '/dicom-web',
          wadoUriRoot: '/dicom-web',
          qidoSupportsIncludeField: false,
          imageRendering: 'wadors',
          thumbnailRendering: 'wadors',
          enableStudyLazyLoad: true,
          supportsFuzzyMatching: false,
          supportsWildcard: true,
          bulkDataURI: { enabled: true, relativeResolution: 'studies' },
          omitQuotationForMultipartRequest: true,
        },
      },
    ],
  };
})();
