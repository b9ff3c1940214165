using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using BarBroker.Devices.Vfio;
using BarBroker.Tests.Native;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

/// <summary>Holds the C# copies of kernel structs against the headers, as this machine's C compiler lays them out.</summary>
public sealed partial class UapiLayoutTests
{
    private static readonly Type[] BarLeaseStructs =
    [
        typeof(BarLeaseRange), typeof(BarLeaseInfo), typeof(BarLeaseExport), typeof(BarLeaseRevoke),
        typeof(BarLeaseEntry), typeof(BarLeaseList), typeof(BarLeaseGetFd),
    ];

    [Fact]
    public async Task Every_struct_of_the_modules_header_is_laid_out_as_in_C()
    {
        string expected = await LayoutInCAsync(BarLeaseStructs, HeaderText());

        Assert.Equal(expected, LayoutInCSharp(BarLeaseStructs));
    }

    [Fact]
    public void Every_struct_of_the_modules_header_has_a_copy_with_as_many_fields()
    {
        string header = HeaderText();
        Dictionary<string, int> inHeader = StructDefinition().Matches(header).ToDictionary(
            match => match.Groups[1].Value,
            match => match.Groups[2].Value.Count(letter => letter == ';'));

        Assert.Equal(
            inHeader.OrderBy(pair => pair.Key, StringComparer.Ordinal),
            BarLeaseStructs.ToDictionary(type => ToSnake(type.Name), type => Fields(type).Length).OrderBy(pair => pair.Key, StringComparer.Ordinal));
    }

    [Fact]
    public async Task Every_constant_of_the_modules_header_has_its_value_here()
    {
        string[] names = [.. Define().Matches(HeaderText()).Select(match => match.Groups[1].Value)];
        StringBuilder source = new(HeaderText() + "\n#include <stdio.h>\nint main(void) {\n");
        foreach (string name in names)
        {
            source.AppendLine(CultureInfo.InvariantCulture, $"printf(\"{name}=%lu\\n\", (unsigned long)(unsigned int){name});");
        }

        using NativeProgram program = await NativeProgram.CompileAsync(source.Append("return 0; }").ToString());
        string inC = await program.RunAsync();

        Dictionary<string, string> here = typeof(BarLeaseUapi).GetFields().ToDictionary(
            field => "BAR_LEASE_" + ToSnake(field.Name).ToUpperInvariant(),
            field => Convert.ToString(field.GetValue(null), CultureInfo.InvariantCulture)!);
        Assert.Equal(
            inC.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal),
            here.Select(pair => $"{pair.Key}={pair.Value}").Order(StringComparer.Ordinal));
    }

    [Fact]
    [Trait("headers", "kernel")]
    public async Task What_is_younger_than_most_headers_is_as_in_those_of_the_kernel()
    {
        const string Source =
            """
            #include <linux/vfio.h>
            #include <stddef.h>
            #include <stdio.h>
            #define AT(name, field) offsetof(struct name, field)
            int main(void)
            {
                printf("%u %u ", VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_FEATURE_DMA_BUF);
                printf("%zu %zu ", AT(vfio_device_bind_iommufd, iommufd), AT(vfio_device_bind_iommufd, out_devid));
                printf("%zu %zu ", AT(vfio_device_feature_dma_buf, region_index), AT(vfio_device_feature_dma_buf, open_flags));
                printf("%zu %zu ", AT(vfio_device_feature_dma_buf, nr_ranges), AT(vfio_device_feature_dma_buf, dma_ranges));
                printf("%zu", sizeof(struct vfio_region_dma_range));
                return 0;
            }
            """;
        string headers = Environment.GetEnvironmentVariable("BAR_BROKER_KERNEL_HEADERS")
            ?? throw new InvalidOperationException("Set BAR_BROKER_KERNEL_HEADERS to include/uapi of Linux 6.19 or newer; tests/run.sh module does.");
        using NativeProgram program = await NativeProgram.CompileAsync(Source, "-D__EXPORTED_HEADERS__", "-D__user=", "-isystem", headers);

        nint[] here =
        [
            (nint)VfioUapi.DeviceBindIommufd, (nint)VfioUapi.DeviceFeatureDmaBuf,
            Marshal.OffsetOf<VfioDeviceBindIommufd>(nameof(VfioDeviceBindIommufd.Iommufd)), Marshal.OffsetOf<VfioDeviceBindIommufd>(nameof(VfioDeviceBindIommufd.OutDevid)),
            Marshal.OffsetOf<VfioDeviceFeatureDmaBuf>(nameof(VfioDeviceFeatureDmaBuf.RegionIndex)), Marshal.OffsetOf<VfioDeviceFeatureDmaBuf>(nameof(VfioDeviceFeatureDmaBuf.OpenFlags)),
            Marshal.OffsetOf<VfioDeviceFeatureDmaBuf>(nameof(VfioDeviceFeatureDmaBuf.NrRanges)), Marshal.SizeOf<VfioDeviceFeatureDmaBuf>(),
            2 * sizeof(ulong),
        ];
        Assert.Equal(await program.RunAsync(), string.Join(' ', here));
    }

    [Fact]
    public async Task The_structs_of_VFIO_are_laid_out_as_in_C()
    {
        // vfio_irq_set ends in a flexible array, of which ours has one entry.
        Type[] structs = [typeof(VfioGroupStatus), typeof(VfioRegionInfo), typeof(VfioDeviceFeature)];
        string expected = await LayoutInCAsync(structs, "#include <linux/vfio.h>");

        Assert.Equal(expected, LayoutInCSharp(structs));
    }

    [Fact]
    public async Task The_requests_of_VFIO_have_their_numbers()
    {
        const string Source =
            """
            #include <linux/vfio.h>
            #include <stddef.h>
            #include <stdio.h>
            int main(void)
            {
                printf("%u %u %u %u %u %u %u %u %u %u ", VFIO_GET_API_VERSION, VFIO_CHECK_EXTENSION, VFIO_SET_IOMMU, VFIO_GROUP_GET_STATUS,
                       VFIO_GROUP_SET_CONTAINER, VFIO_GROUP_GET_DEVICE_FD, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO,
                       VFIO_DEVICE_SET_IRQS, VFIO_DEVICE_FEATURE);
                printf("%u %u %u %u %u %u %u ", VFIO_TYPE1v2_IOMMU, VFIO_GROUP_FLAGS_VIABLE, VFIO_DEVICE_FLAGS_PCI, VFIO_REGION_INFO_FLAG_MMAP,
                       VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_CONFIG_REGION_INDEX);
                printf("%u %u %u %zu", VFIO_PCI_REQ_IRQ_INDEX, VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_PROBE, offsetof(struct vfio_irq_set, data));
                return 0;
            }
            """;
        using NativeProgram program = await NativeProgram.CompileAsync(Source);

        uint[] here =
        [
            VfioUapi.GetApiVersion, VfioUapi.CheckExtension, VfioUapi.SetIommu, VfioUapi.GroupGetStatus,
            VfioUapi.GroupSetContainer, VfioUapi.GroupGetDeviceFd, VfioUapi.DeviceGetInfo, VfioUapi.DeviceGetRegionInfo,
            VfioUapi.DeviceSetIrqs, VfioUapi.DeviceFeature,
            VfioUapi.Type1V2Iommu, VfioUapi.GroupFlagsViable, VfioUapi.DeviceFlagsPci, VfioUapi.RegionInfoFlagMmap,
            VfioUapi.IrqSetDataEventfd, VfioUapi.IrqSetActionTrigger, VfioUapi.PciConfigRegionIndex,
            VfioUapi.PciReqIrqIndex, VfioUapi.DeviceFeatureGet, VfioUapi.DeviceFeatureProbe,
            (uint)Marshal.OffsetOf<VfioIrqSet>(nameof(VfioIrqSet.Data)),
        ];
        Assert.Equal(await program.RunAsync(), string.Join(' ', here));
    }

    private static async Task<string> LayoutInCAsync(Type[] structs, string header)
    {
        StringBuilder source = new($"{header}\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {{\n");
        foreach (Type type in structs)
        {
            string name = ToSnake(type.Name);
            source.AppendLine(CultureInfo.InvariantCulture, $"printf(\"{name} %zu\\n\", sizeof(struct {name}));");
            foreach (string field in Fields(type).Select(field => ToSnake(field.Name)))
            {
                source.AppendLine(CultureInfo.InvariantCulture, $"printf(\"{name}.{field} %zu %zu\\n\", offsetof(struct {name}, {field}), sizeof(((struct {name} *)0)->{field}));");
            }
        }

        using NativeProgram program = await NativeProgram.CompileAsync(source.Append("return 0; }").ToString());
        return await program.RunAsync();
    }

    private static string LayoutInCSharp(Type[] structs)
    {
        StringBuilder layout = new();
        foreach (Type type in structs)
        {
            string name = ToSnake(type.Name);
            layout.Append(CultureInfo.InvariantCulture, $"{name} {Marshal.SizeOf(type)}\n");
            foreach (FieldInfo field in Fields(type))
            {
                layout.Append(CultureInfo.InvariantCulture, $"{name}.{ToSnake(field.Name)} {Marshal.OffsetOf(type, field.Name)} {Marshal.SizeOf(field.FieldType)}\n");
            }
        }

        return layout.ToString();
    }

    private static string HeaderText()
    {
        DirectoryInfo directory = new(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(directory.FullName, "Broker.sln")))
        {
            directory = directory.Parent ?? throw new InvalidOperationException("The tests do not run inside the repository.");
        }

        return File.ReadAllText(Path.Combine(directory.FullName, "deploy/kmod/bar_lease/include/uapi/linux/bar_lease.h"));
    }

    private static FieldInfo[] Fields(Type type) => type.GetFields(BindingFlags.Public | BindingFlags.Instance);

    private static string ToSnake(string name) => UpperLetter().Replace(name, "_$0").TrimStart('_').ToLowerInvariant();

    [GeneratedRegex("[A-Z]")]
    private static partial Regex UpperLetter();

    [GeneratedRegex(@"^struct (\w+) \{\n([^}]*)\};", RegexOptions.Multiline)]
    private static partial Regex StructDefinition();

    [GeneratedRegex(@"^#define (BAR_LEASE_\w+)\s+\S", RegexOptions.Multiline)]
    private static partial Regex Define();
}
